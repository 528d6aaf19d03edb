"""Differentiable scores of baseline detectors, for adaptive attacks; they rank images as the baselines do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_ood.detector import EnergyBased, Mahalanobis, MaxSoftmax
from torch import Tensor
from torch.nn.functional import normalize

from simdnn.arrays import double
from simdnn.evaluation.baselines.inputs import BaselineInput

Score = Callable[[Tensor, Tensor], Tensor]
"""From logits (N, K) and penultimate features (N, d) to scores (N,), high for clean, on the same device."""


def _msp(_: BaselineInput, __: NDArray[np.int64]) -> Score:
    """Return the logarithm of the largest softmax output, whose gradient does not vanish at high confidence."""

    def score(logits: Tensor, _: Tensor) -> Tensor:
        probability: Tensor = -MaxSoftmax.score(double(logits))
        return probability.clamp(min=torch.finfo(probability.dtype).tiny).log()

    return score


def _energy(_: BaselineInput, __: NDArray[np.int64]) -> Score:
    return lambda logits, _: -EnergyBased.score(double(logits))


def _mahalanobis(clean: BaselineInput, labels: NDArray[np.int64]) -> Score:
    detector = Mahalanobis(None)
    detector.fit_features(torch.from_numpy(clean.penultimate), torch.from_numpy(labels))
    means: Tensor = detector.mu
    precision: Tensor = detector.precision

    def score(_: Tensor, features: Tensor) -> Tensor:
        """As `predict_features`, which has no gradient."""
        differences = features[:, None] - means.to(features.device)
        distances = ((differences @ precision.to(features.device)) * differences).sum(dim=2)
        score: Tensor = double((-0.5 * distances).amax(dim=1))
        return score

    return score


def _nearest_neighbours(clean: BaselineInput, _: NDArray[np.int64]) -> Score:
    known = normalize(torch.from_numpy(clean.penultimate))
    k = max(1, min(50, len(clean.logits) // 10))

    def score(_: Tensor, features: Tensor) -> Tensor:
        distances = torch.cdist(normalize(features), known.to(features.device))
        score: Tensor = double(-distances.kthvalue(k, dim=1).values)
        return score

    return score


BASELINE_SCORES: Mapping[str, Callable[[BaselineInput, NDArray[np.int64]], Score]] = {
    "msp": _msp,
    "energy": _energy,
    "mahalanobis": _mahalanobis,
    "knn": _nearest_neighbours,
}
"""Factories of scores, from clean images and their classes, by the names of the baselines."""
