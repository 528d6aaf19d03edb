"""Scores of other detectors with a slope, for attacks that know of them: they order images as those of the peers do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_ood.detector import EnergyBased, Mahalanobis, MaxSoftmax
from torch import Tensor
from torch.nn.functional import normalize

from simdnn.evaluation.baselines.inputs import BaselineInput

Score = Callable[[Tensor, Tensor], Tensor]
"""Logits (N, K) and penultimate features (N, d) to scores (N,), high for clean."""


def _msp(_: BaselineInput, __: NDArray[np.int64]) -> Score:
    """Take the logarithm of the largest softmax, whose slope does not vanish where the network is sure."""
    return lambda logits, _: (-MaxSoftmax.score(logits.double())).clamp(min=1e-300).log()


def _energy(_: BaselineInput, __: NDArray[np.int64]) -> Score:
    return lambda logits, _: -EnergyBased.score(logits.double())


def _mahalanobis(clean: BaselineInput, labels: NDArray[np.int64]) -> Score:
    detector = Mahalanobis(None)
    detector.fit_features(torch.from_numpy(clean.penultimate), torch.from_numpy(labels))
    means: Tensor = detector.mu
    precision: Tensor = detector.precision

    def score(_: Tensor, features: Tensor) -> Tensor:
        """As `predict_features`, which is cut off from the slope."""
        apart = features[:, None] - means
        return (-0.5 * ((apart @ precision) * apart).sum(dim=2)).amax(dim=1).double()

    return score


def _nearest_neighbours(clean: BaselineInput, _: NDArray[np.int64]) -> Score:
    known = normalize(torch.from_numpy(clean.penultimate))
    k = max(1, min(50, len(clean.logits) // 10))
    return lambda _, features: -torch.cdist(normalize(features), known).kthvalue(k, dim=1).values.double()


SCORES: Mapping[str, Callable[[BaselineInput, NDArray[np.int64]], Score]] = {
    "msp": _msp,
    "energy": _energy,
    "mahalanobis": _mahalanobis,
    "knn": _nearest_neighbours,
}
"""By the names of :data:`simdnn.evaluation.baselines.BASELINES`: made of clean images and their classes."""
