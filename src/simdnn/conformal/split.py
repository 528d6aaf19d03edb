"""Split-conformal calibration: a threshold with a promised false-alarm rate."""

from __future__ import annotations

from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simdnn.arrays import FloatArray
from simdnn.conformal.threshold import Decision
from simdnn.errors import InputError


class ConformalThreshold:
    """Split-conformal p-values: a clean image is flagged with probability at most ``alpha``.

    The promise holds on average over draws of the calibration images, for images exchangeable with them, without any
    assumption about the scores (Vovk, Gammerman and Shafer, *Algorithmic Learning in a Random World*, 2005).

    Parameters
    ----------
    scores : (n,) scores of clean images that were held out of learning
    alpha : false-alarm rate asked for, in [1 / (n + 1), 1)

    Raises
    ------
    InputError
        If alpha is outside that range: n scores cannot promise less than 1 / (n + 1).

    >>> threshold = ConformalThreshold(np.arange(1.0, 20.0), alpha=0.1)
    >>> threshold.offset, threshold.p_values([0.5, 2.0, 30.0]).tolist()
    (2.0, [0.05, 0.15, 1.0])
    """

    def __init__(self, scores: ArrayLike, alpha: float) -> None:
        self.scores: FloatArray = np.sort(np.asarray(scores, dtype=np.float64).ravel())
        self.alpha = alpha
        n = len(self.scores)
        if not np.isfinite(self.scores).all():
            raise InputError("calibration scores must be finite; got missing or infinite values")
        if not 0 < alpha < 1:
            raise InputError(f"alpha is a false-alarm rate, expected between 0 and 1; got {alpha}")
        if n == 0 or alpha * (n + 1) < 1 - 1e-9:
            raise InputError(
                f"{n} calibration images cannot promise a false-alarm rate of {alpha}; "
                f"give at least {ceil(1 / alpha - 1e-9) - 1}, or ask for {1 / (n + 1):.3g} or more"
            )
        self.offset = float(self.scores[floor(alpha * (n + 1) + 1e-9) - 1])

    def p_values(self, scores: ArrayLike) -> FloatArray:
        """Return the share of scores, calibration and new one together, that are no higher: (N,), in (0, 1]."""
        rank = np.searchsorted(self.scores, np.asarray(scores, dtype=np.float64), side="right")
        return np.asarray((1 + rank) / (len(self.scores) + 1), dtype=np.float64)

    def judge(self, scores: FloatArray, labels: NDArray[Any] | None = None) -> Decision:
        """Flag the scores whose p-value is at most alpha, which are those below the offset."""
        del labels
        return Decision(scores < self.offset, np.full(len(scores), self.offset), self.p_values(scores))
