"""The fast gradient sign method: Goodfellow, Shlens and Szegedy, ICLR 2015."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from simdnn.attacks.attack import gradient_of_loss


@dataclass(frozen=True)
class FGSM:
    """One step of size ``eps`` along the sign of the loss's gradient.

    Implemented here, since secml-torch has no FGSM, and one step of its PGD returns the clean image if that has the
    higher loss.

    Attributes
    ----------
    eps
        Largest change of a pixel, in units of [0, 1] images.
    """

    name: ClassVar[str] = "fgsm"
    eps: float

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return clip(x + eps sign(gradient)), without random numbers."""
        del generator
        return (images + self.eps * gradient_of_loss(model, images, labels).sign()).clamp(0, 1)
