"""Carlini and Wagner's attack, L2: "Towards evaluating the robustness of neural networks", S&P 2017."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from simdnn.attacks.foolbox_runner import run_foolbox
from simdnn.attacks.libraries import foolbox


@dataclass(frozen=True)
class CW:
    """Minimum-norm attack, L2, that reaches a given logit margin; foolbox's implementation.

    Images on which it fails are returned unchanged.

    Attributes
    ----------
    steps
        Steps of Adam for each value of the constant c.
    searches
        Number of values of c, found by binary search.
    confidence
        Logit margin to reach (kappa). With 0 the attack ends on the decision boundary, and rounding to 8 bits undoes
        it.
    step_size
        Step size of Adam.
    initial_const
        First value of c, the weight of the margin loss.
    """

    name: ClassVar[str] = "cw"
    steps: int = 40
    searches: int = 4
    confidence: float = 1.0
    step_size: float = 0.01
    initial_const: float = 0.1

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch."""
        library_attack = foolbox.L2CarliniWagnerAttack(
            binary_search_steps=self.searches,
            steps=self.steps,
            stepsize=self.step_size,
            confidence=self.confidence,
            initial_const=self.initial_const,
        )
        return run_foolbox(library_attack, model, images, labels, generator, eps=None)
