"""DeepFool, L2: Moosavi-Dezfooli, Fawzi and Frossard, CVPR 2016."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from simdnn.attacks.foolbox_runner import run_foolbox
from simdnn.attacks.libraries import foolbox


@dataclass(frozen=True)
class DeepFool:
    """Steps to the nearest decision boundary of the linearised network, until it is crossed; foolbox's.

    An image that stays correctly classified comes back unchanged.

    Attributes
    ----------
    steps
        Largest number of steps.
    candidates
        Number of most probable classes whose boundaries are considered.
    overshoot
        Share by which the change is enlarged at the end. The paper has 0.02; 0.1 survives rounding to 8 bits more
        often on small images; on photographs the change is far below one level, and rounding undoes it anyway.
    """

    name: ClassVar[str] = "deepfool"
    steps: int = 20
    candidates: int = 5
    overshoot: float = 0.1

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch."""
        library_attack = foolbox.L2DeepFoolAttack(
            steps=self.steps, candidates=self.candidates, overshoot=self.overshoot
        )
        return run_foolbox(library_attack, model, images, labels, generator, eps=None)
