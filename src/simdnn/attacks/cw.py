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
    """Minimum-norm attack: the smallest Euclidean change that reaches a given logit margin; foolbox's.

    An image that stays correctly classified comes back unchanged.

    Attributes
    ----------
    steps
        Steps of Adam for each value of the constant c.
    searches
        Values of c that are tried, by binary search.
    confidence
        Logit margin that the attack must reach (kappa); 0 ends on the boundary, where rounding to 8 bits undoes it.
    step_size
        Of Adam.
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
