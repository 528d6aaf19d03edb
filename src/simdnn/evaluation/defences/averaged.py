"""Expectation over transformation: Athalye and others, "Synthesizing robust adversarial examples", ICML 2018."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from simdnn.errors import InputError


class Averaged(nn.Module):
    """The mean of a random network's logits over several draws, so that an attack follows the mean gradient.

    Logits are averaged, not losses: every attack then works unchanged, whatever its loss. Time and
    memory are ``samples`` times those of the network.

    Attributes
    ----------
    network : images (N, 3, H, W) in [0, 1] to logits (N, K), different with every call
    samples : number of draws

    Raises
    ------
    InputError
        If there is to be no draw.
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
