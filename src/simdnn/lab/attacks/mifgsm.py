"""The momentum iterative fast gradient sign method: Dong and others, CVPR 2018."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from simdnn.lab.attacks.libraries import foolbox
from simdnn.lab.attacks.native import run_foolbox


@dataclass(frozen=True)
class MIFGSM:
    """Steps along the sign of the accumulated gradient within ``eps`` of the image; foolbox's.

    Attributes
    ----------
    eps
        Largest change of a pixel, in units of [0, 1] images.
    steps
        Number of steps, of size ``eps / steps`` each, as in the paper.
    momentum
        Share of the old gradients that each step keeps.
    """

    name: ClassVar[str] = "mifgsm"
    eps: float
    steps: int = 10
    momentum: float = 1.0

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch; nothing is drawn."""
        native = foolbox.MIFGSM(momentum=self.momentum, steps=self.steps, abs_stepsize=self.eps / self.steps)
        return run_foolbox(native, model, images, labels, generator, self.eps)
