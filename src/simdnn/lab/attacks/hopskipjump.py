"""HopSkipJump, L2, which sees nothing but labels: Chen, Jordan and Wainwright, S&P 2020."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from simdnn.lab.attacks.libraries import foolbox
from simdnn.lab.attacks.native import run_foolbox


@dataclass(frozen=True)
class HopSkipJump:
    """Walks along the boundary, whose direction it estimates from labels alone; foolbox's.

    An image for which no start was found stays as it was.

    Attributes
    ----------
    steps
        Steps along the boundary.
    queries
        Labels asked for in the first step's estimate; later steps ask for more, by the square root of their number.
    most_queries
        The most that a step asks for.
    """

    name: ClassVar[str] = "hopskipjump"
    steps: int = 10
    queries: int = 50
    most_queries: int = 200

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch."""
        start = foolbox.LinearSearchBlendedUniformNoiseAttack(steps=50)
        native = foolbox.HopSkipJumpAttack(
            init_attack=start,
            steps=self.steps,
            initial_gradient_eval_steps=self.queries,
            max_gradient_eval_steps=self.most_queries,
        )
        return run_foolbox(native, model, images, labels, generator, eps=None)
