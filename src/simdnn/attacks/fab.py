"""The fast adaptive boundary attack, L-inf: Croce and Hein, ICML 2020."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from simdnn.attacks.attack import n_classes
from simdnn.attacks.libraries import pyautoattack, seeded
from simdnn.attacks.pyautoattack_runner import run_pyautoattack
from simdnn.networks.device import device_of


@dataclass(frozen=True)
class FAB:
    """Minimum-norm attack, L-inf, targeted at the most probable other classes; pyautoattack's implementation.

    Images on which it fails within ``eps`` are returned unchanged.

    Attributes
    ----------
    eps
        Largest change of a pixel, in units of [0, 1] images.
    steps
        Steps for each target class.
    targets
        Number of target classes; at most the number of other classes.
    """

    name: ClassVar[str] = "fab"
    eps: float
    steps: int = 20
    targets: int = 2

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch."""
        device = device_of(model)
        others = n_classes(model, images) - 1
        with seeded(generator) as seed:
            library_attack = pyautoattack.fab_pt.FABAttack_PT(
                model,
                n_iter=self.steps,
                eps=self.eps,
                seed=seed,
                targeted=True,
                n_target_classes=min(self.targets, others),
                device=device,
            )
            return run_pyautoattack(library_attack, model, images, labels)
