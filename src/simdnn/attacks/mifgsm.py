"""The momentum iterative fast gradient sign method: Dong and others, CVPR 2018."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from simdnn.attacks.attack import gradient_of_loss

TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class MIFGSM:
    """Steps along the sign of the accumulated gradient within ``eps`` of the image (their paper's eqs. 6 and 7).

    Implemented here: the paper accumulates gradients divided by their L1 norm, whereas foolbox accumulates their signs
    and reaches a lower loss.

    Attributes
    ----------
    eps
        Largest change of a pixel, in units of [0, 1] images.
    steps
        Number of steps, of size ``eps / steps`` each, as in the paper.
    momentum
        Decay factor of the accumulated gradient (mu).
    """

    name: ClassVar[str] = "mifgsm"
    eps: float
    steps: int = 10
    momentum: float = 1.0

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch, without random numbers."""
        del generator
        attacked, accumulated = images, torch.zeros_like(images)
        for _ in range(self.steps):
            gradient = gradient_of_loss(model, attacked, labels)
            norm = gradient.abs().sum(dim=(1, 2, 3), keepdim=True).clamp_min(TINY)
            accumulated = self.momentum * accumulated + gradient / norm
            attacked = (attacked + self.eps / self.steps * accumulated.sign()).clamp(0, 1)
        return attacked
