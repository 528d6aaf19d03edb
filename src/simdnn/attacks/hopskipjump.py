"""HopSkipJump, L2, which sees nothing but labels: Chen, Jordan and Wainwright, S&P 2020."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from simdnn.attacks.attack import device_of, predict
from simdnn.attacks.libraries import foolbox, l2
from simdnn.attacks.native import run_foolbox

DIRECTIONS = 100
"""Pictures of noise that are tried as a start; a network calls nearly all noise alike."""


@dataclass(frozen=True)
class HopSkipJump:
    """Walks along the boundary, whose direction it estimates from labels alone; foolbox's.

    It starts from the image blended with noise; where that turns no label, the image stays as it was. Images are
    attacked one by one: foolbox gives the directions that it tries, and the gradient that it estimates from them, unit
    length over a whole batch, so that N images together take steps that are sqrt(N) too short.

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
        blend = foolbox.LinearSearchBlendedUniformNoiseAttack(distance=l2, directions=DIRECTIONS, steps=50)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "LinearSearchBlendedUniformNoiseAttack failed", UserWarning)
            attacked = run_foolbox(blend, model, images, labels, generator, eps=None)
        native = foolbox.HopSkipJumpAttack(
            steps=self.steps,
            initial_gradient_eval_steps=self.queries,
            max_gradient_eval_steps=self.most_queries,
        )
        for row in range(len(images)):
            one = slice(row, row + 1)
            start = attacked[one]
            if predict(model, start).equal(labels[one]):
                continue  # foolbox refuses to go on without a start
            start = start.to(device_of(model))
            attacked[one] = run_foolbox(
                native, model, images[one], labels[one], generator, eps=None, starting_points=start
            )
        return attacked
