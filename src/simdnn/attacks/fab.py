"""The fast adaptive boundary attack, L-inf: Croce and Hein, ICML 2020."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from simdnn.attacks.attack import classes_of, device_of
from simdnn.attacks.libraries import pyautoattack, seeded
from simdnn.attacks.native import run_autoattack


@dataclass(frozen=True)
class FAB:
    """The smallest change of any pixel that turns the label, towards the likeliest other classes; pyautoattack's.

    An image that was not turned within ``eps`` stays as it was.

    Attributes
    ----------
    eps
        Largest change of a pixel, in units of [0, 1] images.
    steps
        Steps for each class that is aimed at.
    targets
        Classes that are aimed at, fewer if the network has fewer others.
    """

    name: ClassVar[str] = "fab"
    eps: float
    steps: int = 20
    targets: int = 2

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch."""
        device = device_of(model)
        others = classes_of(model, images) - 1
        with seeded(generator) as seed:
            native = pyautoattack.fab_pt.FABAttack_PT(
                model,
                n_iter=self.steps,
                eps=self.eps,
                seed=seed,
                targeted=True,
                n_target_classes=min(self.targets, others),
                device=device,
            )
            return run_autoattack(native, model, images, labels)
