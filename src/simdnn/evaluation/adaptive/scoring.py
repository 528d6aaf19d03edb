"""Predictions and scores of a guarded network, and shares and norms for records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from simdnn.attacks.adaptive.goal import BATCH
from simdnn.attacks.adaptive.module import GuardedModel
from simdnn.evaluation.intervals import rate
from simdnn.networks.device import device_of


@torch.no_grad()
def predict_and_score(
    guarded: GuardedModel, images: Tensor, batch_size: int = BATCH
) -> tuple[Tensor, Tensor]:
    """Return what network and detector in use say of images (N, 3, H, W) in [0, 1].

    On the CPU: the predicted outputs (N,) and the scores (N,), float64.
    """
    device = device_of(guarded)
    outputs = [guarded.deployed(batch.to(device)) for batch in torch.split(images, batch_size)]
    predicted = torch.cat([output.logits.argmax(dim=1).cpu() for output in outputs])
    return predicted, torch.cat([output.score.cpu().double() for output in outputs])


def misclassified_scores(guarded: GuardedModel, images: Tensor, labels: Tensor) -> Tensor:
    """Return (N,) the scores of misclassified images, and -inf for the others."""
    predicted, score = predict_and_score(guarded, images)
    return torch.where(predicted != labels, score, -torch.inf)


def robust_share(scores: Tensor, thresholds: Mapping[str, float]) -> dict[str, Any]:
    """Return, by threshold, the share of images without a successful attack, with its 95 % interval.

    Parameters
    ----------
    scores : (N,) the highest score of each image's misclassified variants; -inf if there are none
    thresholds : thresholds by name; an image is flagged if its score is below
    """
    n = len(scores)
    return {name: rate(int((scores < offset).sum()), n)._asdict() for name, offset in thresholds.items()}


def sorted_norms(norms: Tensor) -> list[float | None]:
    """Return norms in ascending order, each as by :func:`finite_or_none`."""
    return [finite_or_none(norm) for norm in norms.sort().values]


def finite_or_none(number: Tensor) -> float | None:
    """Return a number rounded to 5 digits, or None if it is infinite, which JSON does not have."""
    return round(float(number), 5) if number.isfinite() else None
