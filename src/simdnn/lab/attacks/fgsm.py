"""The fast gradient sign method: Goodfellow, Shlens and Szegedy, ICLR 2015."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from simdnn.lab.attacks.attack import device_of


@dataclass(frozen=True)
class FGSM:
    """One step of size ``eps`` along the sign of the loss's gradient.

    secml-torch has no native FGSM, and one step of its PGD keeps the clean image where that has the higher loss;
    the method is one line, so it is here.

    Attributes
    ----------
    eps
        Largest change of a pixel, in units of [0, 1] images.
    """

    name: ClassVar[str] = "fgsm"
    eps: float

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return clip(x + eps sign(gradient)); nothing is drawn."""
        del generator
        device = device_of(model)
        leaf = images.clone().requires_grad_()
        loss = cross_entropy(model(leaf.to(device)), labels.to(device), reduction="sum")
        (gradient,) = torch.autograd.grad(loss, leaf)
        return (images + self.eps * gradient.sign()).clamp(0, 1)
