"""How often the majority of a network's outputs under noise is right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import one_hot

from simdnn.evaluation.intervals import Estimate, rate


@torch.no_grad()
def votes(network: nn.Module, images: Tensor, sigma: float, draws: int, seed: int) -> Tensor:
    """Count a network's outputs over noisy draws of images.

    Parameters
    ----------
    network
        In evaluation mode.
    images
        Shape (N, 3, H, W), in [0, 1].
    sigma, draws, seed
        Standard deviation, number and seed of the draws.

    Returns
    -------
    Tensor
        Shape (N, classes), int64, rows summing to ``draws``.
    """
    generator = torch.Generator(images.device).manual_seed(seed)
    outputs = []
    for _ in range(draws):
        noise = torch.randn(images.shape, generator=generator, device=images.device)
        logits: Tensor = network(images + sigma * noise)
        outputs.append(one_hot(logits.argmax(dim=1), logits.shape[1]))
    return torch.stack(outputs).sum(dim=0)


def vote_accuracy(
    network: nn.Module,
    batch: Callable[[NDArray[np.int64]], Tensor],
    labels: NDArray[np.int64],
    sigma: float,
    *,
    draws: int,
    seed: int = 0,
    batch_size: int = 64,
) -> Estimate:
    """Return how often the majority vote is right on N images, with its 95 % interval.

    Parameters
    ----------
    network
        In evaluation mode.
    batch
        Gives images (n, 3, side, side) in [0, 1], on the network's device, for places among the N.
    labels
        Shape (N,).
    sigma, draws, seed
        Of the noise.
    batch_size
        Images at once.
    """
    right = 0
    for start in range(0, len(labels), batch_size):
        rows = np.arange(start, min(start + batch_size, len(labels)))
        counts = votes(network, batch(rows), sigma, draws, seed + start)
        right += int((counts.argmax(dim=1).cpu().numpy() == labels[rows]).sum())
    return rate(right, len(labels))
