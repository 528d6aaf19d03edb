"""Confidence intervals of rates and of the area under the ROC curve."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, bootstrap, mannwhitneyu

LEVEL = 0.95
"""Confidence of every interval."""


class Estimate(NamedTuple):
    """A value in [0, 1] and the 95 % interval around it."""

    value: float
    low: float
    high: float

    def per_cent(self) -> str:
        """Return a share with its interval as text.

        >>> Estimate(0.951, 0.93, 0.9672).per_cent()
        '95.1 % (93.0 to 96.7)'
        """
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f} to {100 * self.high:.1f})"

    def decimal(self) -> str:
        """Return a value, such as an area, with its interval as text.

        >>> Estimate(0.9514, 0.93, 0.9672).decimal()
        '0.951 (0.930 to 0.967)'
        """
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def rate(count: int, n: int) -> Estimate:
    """Estimate a probability from ``count`` events among ``n``, with the exact (Clopper-Pearson) interval.

    >>> rate(0, 10)
    Estimate(value=0.0, low=0.0, high=0.308...)
    """
    interval = binomtest(count, n).proportion_ci(LEVEL, method="exact")
    return Estimate(count / n, float(interval.low), float(interval.high))


def auroc(clean: ArrayLike, attacked: ArrayLike, *, seed: int = 0, resamples: int = 1000) -> Estimate:
    """Estimate the probability that a clean image scores above an attacked one, with a bootstrap interval.

    Ties count half. Clean and attacked images are resampled independently; the interval is the percentile one.

    Parameters
    ----------
    clean, attacked
        Scores, (n,) and (m,); high is clean.
    seed, resamples
        Of the bootstrap.

    >>> auroc([3, 4, 5, 6], [1, 2, 3, 4], resamples=100).value
    0.875
    """
    groups = (np.asarray(clean, dtype=np.float64), np.asarray(attacked, dtype=np.float64))
    drawn = bootstrap(
        groups,
        _area,
        n_resamples=resamples,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(seed),
        vectorized=True,
    )
    interval = drawn.confidence_interval
    return Estimate(float(_area(*groups)), float(interval.low), float(interval.high))


def _area(clean: NDArray[np.float64], attacked: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    statistic = mannwhitneyu(clean, attacked, axis=axis, method="asymptotic").statistic
    return np.asarray(statistic / (clean.shape[axis] * attacked.shape[axis]))
