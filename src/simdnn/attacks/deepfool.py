"""DeepFool, L2: Moosavi-Dezfooli, Fawzi and Frossard, CVPR 2016."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from simdnn.attacks.libraries import foolbox
from simdnn.attacks.native import run_foolbox


@dataclass(frozen=True)
class DeepFool:
    """Steps to the nearest boundary of the linearised network, until one is crossed; foolbox's.

    An image that was not turned stays as it was.

    Attributes
    ----------
    steps
        Largest number of steps.
    candidates
        Likeliest classes whose boundaries are looked at.
    overshoot
        Share by which the change is enlarged at the end. The paper has 0.02; 0.1 outlasts rounding to 8 bits more
        often on small pictures, but on photographs the change is far below a level, and rounding undoes it anyway.
    """

    name: ClassVar[str] = "deepfool"
    steps: int = 20
    candidates: int = 5
    overshoot: float = 0.1

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch."""
        native = foolbox.L2DeepFoolAttack(
            steps=self.steps, candidates=self.candidates, overshoot=self.overshoot
        )
        return run_foolbox(native, model, images, labels, generator, eps=None)
