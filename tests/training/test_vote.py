from __future__ import annotations

import math

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor, nn

from simdnn.training.vote import vote_accuracy, votes


class Above(nn.Module):
    """Output 1 where the first value of an image is above 0.5, else 0."""

    def forward(self, images: Tensor) -> Tensor:
        above = images[:, 0, 0, 0] > 0.5
        return torch.stack([~above, above], dim=1).float()


def test_votes_are_a_sample_of_the_smoothed_output() -> None:
    values = torch.tensor([0.2, 0.5, 0.6]).view(3, 1, 1, 1)
    counts = votes(Above(), values.expand(3, 3, 2, 2), 0.25, 2000, seed=0)
    assert counts.sum(dim=1).tolist() == [2000] * 3
    for count, value in zip(counts[:, 1].tolist(), [0.2, 0.5, 0.6], strict=True):
        share = norm.cdf((value - 0.5) / 0.25)
        assert abs(count - 2000 * share) < 4 * math.sqrt(2000 * share * (1 - share))


def test_the_same_seed_gives_the_same_votes() -> None:
    images = torch.full((4, 3, 2, 2), 0.5)
    assert torch.equal(votes(Above(), images, 0.25, 9, seed=1), votes(Above(), images, 0.25, 9, seed=1))


def test_accuracy_is_that_of_the_majority_over_all_batches() -> None:
    images = torch.tensor([0.1, 0.2, 0.8, 0.9, 0.3]).view(5, 1, 1, 1).expand(5, 3, 2, 2)
    labels = np.array([0, 0, 1, 0, 1])
    told: list[tuple[int, int]] = []
    found = vote_accuracy(
        Above(),
        lambda rows: images[rows],
        labels,
        0.05,
        draws=5,
        batch_size=2,
        progress=lambda done, total: told.append((done, total)),
    )
    assert found.value == 0.6
    assert told == [(2, 5), (4, 5), (5, 5)]
