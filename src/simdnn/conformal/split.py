"""Split-conformal calibration: a threshold with a guaranteed false-alarm rate."""

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

    The guarantee holds on average over draws of the calibration images, for clean images exchangeable with them, for
    any distribution of scores (Vovk, Gammerman and Shafer, *Algorithmic Learning in a Random World*, 2005).

    Parameters
    ----------
    scores : (n,) scores of clean images that were held out of learning; high is clean
    alpha : false-alarm rate, in [1 / (n + 1), 1)

    Attributes
    ----------
    offset : scores below it are flagged

    Raises
    ------
    InputError
        If alpha is outside that range, or a score is missing or infinite.

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
            needed = ceil(min(1 / alpha, 1e18) - 1e-9) - 1
            raise InputError(
                f"{n} calibration images cannot promise a false-alarm rate of {alpha}; "
                f"give at least {needed}, or ask for {1 / (n + 1):.3g} or more"
            )
        rank = min(floor(alpha * (n + 1) + 1e-9), n)  # of an alpha just below 1, not n + 1
        self.offset = float(self.scores[rank - 1])

    def p_values(self, scores: ArrayLike) -> FloatArray:
        """Return (N,) conformal p-values in (0, 1]: the rank of each score among the calibration scores and itself."""
        rank = np.searchsorted(self.scores, np.asarray(scores, dtype=np.float64), side="right")
        return np.asarray((1 + rank) / (len(self.scores) + 1), dtype=np.float64)

    def judge(self, scores: FloatArray, labels: NDArray[Any] | None = None) -> Decision:
        """Flag the (N,) scores below the offset, whose p-values are at most alpha; labels are ignored."""
        del labels
        return Decision(scores < self.offset, np.full(len(scores), self.offset), self.p_values(scores))
