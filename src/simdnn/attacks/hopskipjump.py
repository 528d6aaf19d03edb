"""HopSkipJump, L2, a decision-based attack: Chen, Jordan and Wainwright, S&P 2020."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from simdnn.attacks.attack import predict
from simdnn.attacks.foolbox_runner import run_foolbox
from simdnn.attacks.libraries import foolbox, l2
from simdnn.networks.device import device_of

DIRECTIONS = 100
"""Number of noise images that are tried as a start; many, since a network predicts one class for nearly all noise."""


@dataclass(frozen=True)
class HopSkipJump:
    """Decision-based attack along the decision boundary, whose normal it estimates by queries; foolbox's.

    It starts from the image blended with noise; if no blend is misclassified, the image is returned unchanged. Images
    are attacked one by one: foolbox normalises the estimated gradient over the whole batch, which makes the steps of N
    images too short by sqrt(N).

    Attributes
    ----------
    steps
        Steps along the boundary.
    queries
        Queries for the first gradient estimate; they grow with the square root of the step's number.
    most_queries
        Largest number of queries for one estimate.
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
        library_attack = foolbox.HopSkipJumpAttack(
            steps=self.steps,
            initial_gradient_eval_steps=self.queries,
            max_gradient_eval_steps=self.most_queries,
        )
        for row in range(len(images)):
            one = slice(row, row + 1)
            start = attacked[one]
            if predict(model, start).equal(labels[one]):
                continue  # foolbox raises an error without a misclassified start
            start = start.to(device_of(model))
            attacked[one] = run_foolbox(
                library_attack, model, images[one], labels[one], generator, eps=None, starting_points=start
            )
        return attacked
