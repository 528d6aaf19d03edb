"""Square, a score-based black-box attack: Andriushchenko and others, ECCV 2020."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from simdnn.attacks.libraries import pyautoattack, seeded
from simdnn.attacks.pyautoattack_runner import run_pyautoattack
from simdnn.networks.device import device_of


@dataclass(frozen=True)
class Square:
    """Random search over squares of changed pixels, L-inf; pyautoattack's implementation.

    Images on which it fails are returned unchanged.

    Attributes
    ----------
    eps
        Largest change of a pixel, in units of [0, 1] images.
    queries
        Largest number of queries for one image.
    """

    name: ClassVar[str] = "square"
    eps: float
    queries: int = 500

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch."""
        device = device_of(model)
        with seeded(generator) as seed:
            library_attack = pyautoattack.square.SquareAttack(
                model, n_queries=self.queries, eps=self.eps, seed=seed, device=device
            )
            return run_pyautoattack(library_attack, model, images, labels)
