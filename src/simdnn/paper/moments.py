"""Eqs. (4) and (5): mean and variance of a class, exact and recursive."""

from __future__ import annotations

from dataclasses import dataclass

from simdnn.arrays import FloatArray


@dataclass
class Moments:
    """Count, mean and scatter of the samples seen so far.

    Kept is the scatter, the sum of squared distances to the mean, instead of the mean squared norm ``Sigma`` of
    eq. (5): the variance ``Sigma - ||mu||^2`` loses its digits where a class is tight and far from the origin.
    ``Sigma`` follows from the scatter.

    Attributes
    ----------
    mean : (n,) mean, eq. (4); zeros while nothing has been seen
    count : number of samples
    scatter : sum of squared distances to the mean, >= 0

    >>> import numpy as np
    >>> Moments(np.array([3.0]), count=3, scatter=12.0).scalar_product
    13.0
    """

    mean: FloatArray
    count: int = 0
    scatter: float = 0.0

    @property
    def variance(self) -> float:
        """Scalar variance: mean squared distance to the mean; 0 while nothing has been seen."""
        return self.scatter / self.count if self.count else 0.0

    @property
    def scalar_product(self) -> float:
        """Mean squared norm, eq. (5)."""
        return self.variance + float(self.mean @ self.mean)
