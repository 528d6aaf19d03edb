"""The square attack, which sees scores only: Andriushchenko and others, ECCV 2020."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from simdnn.attacks.attack import device_of
from simdnn.attacks.libraries import pyautoattack, seeded
from simdnn.attacks.native import run_autoattack


@dataclass(frozen=True)
class Square:
    """Random search over squares of changed pixels, L-inf; pyautoattack's.

    An image that was not turned stays as it was.

    Attributes
    ----------
    eps
        Largest change of a pixel, in units of [0, 1] images.
    queries
        Times that the network is asked about an image.
    """

    name: ClassVar[str] = "square"
    eps: float
    queries: int = 500

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch."""
        device = device_of(model)
        with seeded(generator) as seed:
            native = pyautoattack.square.SquareAttack(
                model, n_queries=self.queries, eps=self.eps, seed=seed, device=device
            )
            return run_autoattack(native, model, images, labels)
