"""Votes of a network over noisy draws, and the accuracy of the majority vote."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import one_hot

from simdnn.evaluation.intervals import Estimate, rate
from simdnn.progress import Progress


@torch.no_grad()
def votes(network: nn.Module, images: Tensor, sigma: float, draws: int, seed: int) -> Tensor:
    """Count a network's predictions over noisy draws of images.

    Parameters
    ----------
    network
        In evaluation mode.
    images
        Shape (N, 3, H, W), in [0, 1].
    sigma, draws, seed
        Standard deviation of the noise, number of draws, and seed.

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
    progress: Progress | None = None,
) -> Estimate:
    """Return the accuracy of the majority vote on N images, with its 95 % interval.

    Parameters
    ----------
    network
        In evaluation mode.
    batch
        From indices (n,) among the N images to images (n, 3, side, side) in [0, 1], on the network's device.
    labels
        Shape (N,), the true outputs.
    sigma, draws, seed
        As for `votes`.
    batch_size
        Number of images per pass.
    progress
        Called after every pass with the number of images done and of all.
    """
    correct = 0
    for start in range(0, len(labels), batch_size):
        rows = np.arange(start, min(start + batch_size, len(labels)))
        counts = votes(network, batch(rows), sigma, draws, seed + start)
        correct += int((counts.argmax(dim=1).cpu().numpy() == labels[rows]).sum())
        if progress is not None:
            progress(start + len(rows), len(labels))
    return rate(correct, len(labels))
