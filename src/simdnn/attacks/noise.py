"""Random noise: no attack, but the control for every table of attacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Noise:
    """Uniform noise with the budget of an attack; a detector should not flag it.

    Attributes
    ----------
    eps
        Largest change of a pixel, in units of [0, 1] images.
    """

    name: ClassVar[str] = "noise"
    eps: float

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Add noise to every pixel; the network is not used."""
        del model, labels
        drawn = 2 * torch.rand(images.shape, generator=generator, dtype=images.dtype) - 1
        return (images + self.eps * drawn).clamp(0, 1)
