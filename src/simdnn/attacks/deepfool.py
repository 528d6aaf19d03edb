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
    """Minimum-norm attack, L2: steps to the nearest decision boundary of the linearised network; foolbox's.

    Images on which it fails are returned unchanged.

    Attributes
    ----------
    steps
        Largest number of steps.
    candidates
        Number of most probable classes whose boundaries are considered.
    overshoot
        Share by which the perturbation is enlarged at the end. The paper has 0.02. On small images 0.1 survives
        rounding to 8 bits more often; on photographs the perturbation is far below one level, and rounding undoes it.
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
