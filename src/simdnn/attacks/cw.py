"""Carlini and Wagner's attack, L2: "Towards evaluating the robustness of neural networks", S&P 2017."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from simdnn.attacks.libraries import foolbox
from simdnn.attacks.native import run_foolbox


@dataclass(frozen=True)
class CW:
    """The smallest Euclidean change that turns the label by a given gap of the logits; foolbox's.

    An image that was not turned stays as it was.

    Attributes
    ----------
    steps
        Steps of Adam for each weight of the loss.
    searches
        Weights of the loss that are tried, by bisection.
    confidence
        Gap of the logits that the attack must reach; 0 ends on the boundary, and rounding to 8 bits undoes it.
    step_size
        Of Adam.
    initial_const
        First weight of the loss.
    """

    name: ClassVar[str] = "cw"
    steps: int = 40
    searches: int = 4
    confidence: float = 1.0
    step_size: float = 0.01
    initial_const: float = 0.1

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch."""
        native = foolbox.L2CarliniWagnerAttack(
            binary_search_steps=self.searches,
            steps=self.steps,
            stepsize=self.step_size,
            confidence=self.confidence,
            initial_const=self.initial_const,
        )
        return run_foolbox(native, model, images, labels, generator, eps=None)
