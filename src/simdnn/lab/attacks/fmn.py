"""The fast minimum-norm attack, L2: Pintor, Roli, Brendel and Biggio, NeurIPS 2021."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from simdnn.lab.attacks.libraries import foolbox
from simdnn.lab.attacks.native import run_foolbox


@dataclass(frozen=True)
class FMN:
    """The smallest Euclidean change that turns the label, on a ball whose size follows the boundary; foolbox's.

    An image that was not turned stays as it was.

    Attributes
    ----------
    steps
        Number of steps.
    step_size
        Of the first step; it shrinks along a cosine.
    gamma
        Share by which the ball grows or shrinks in the first step.
    """

    name: ClassVar[str] = "fmn"
    steps: int = 60
    step_size: float = 1.0
    gamma: float = 0.05

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch."""
        native = foolbox.L2FMNAttack(steps=self.steps, max_stepsize=self.step_size, gamma=self.gamma)
        return run_foolbox(native, model, images, labels, generator, eps=None)
