"""Expectation over transformation: Athalye and others, "Synthesizing robust adversarial examples", ICML 2018."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from simdnn.errors import InputError


class Averaged(nn.Module):
    """The mean logits of a randomised network over several draws, so that an attack follows the mean gradient.

    Logits are averaged instead of losses, so that every attack works unchanged. Time and memory are ``samples`` times
    those of the network.

    Attributes
    ----------
    network : randomised; images (N, 3, H, W) in [0, 1] to logits (N, K)
    samples : number of draws

    Raises
    ------
    InputError
        If ``samples`` is below 1.
    """

    def __init__(self, network: nn.Module, samples: int) -> None:
        super().__init__()
        if samples < 1:
            raise InputError(f"expected at least one draw to average over, got {samples}")
        self.network = network
        self.samples = samples
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return the mean logits (N, K)."""
        return torch.stack([self.network(images) for _ in range(self.samples)]).mean(dim=0)
