"""Eqs. (4) and (5): mean and variance of a class, exact, recursive and mergeable."""

from __future__ import annotations

from dataclasses import dataclass

from simdnn.arrays import FloatArray


@dataclass
class Moments:
    """Count, mean and scatter of the samples seen so far.

    The scatter, the sum of squared distances to the mean, is carried instead of the scalar product of eq. (5): the
    variance ``Sigma - ||mu||^2`` cancels badly for a tight class far from the origin, and ``Sigma`` follows from it.

    Attributes
    ----------
    mean : (n,) mean, eq. (4); zeros while nothing has been seen
    count : number of samples
    scatter : sum of squared distances to the mean, >= 0

    >>> import numpy as np
    >>> left, right = Moments(np.array([1.0]), count=1), Moments(np.array([4.0]), count=2, scatter=6.0)
    >>> both = left + right
    >>> both.mean.tolist(), both.count, both.variance, both.scalar_product
    ([3.0], 3, 4.0, 13.0)
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

    def __add__(self, other: Moments) -> Moments:
        """Moments of both sets of samples together, as if one had seen all of them."""
        count = self.count + other.count
        if not count:
            return self
        apart = other.mean - self.mean
        return Moments(
            mean=self.mean + apart * (other.count / count),
            count=count,
            scatter=self.scatter + other.scatter + float(apart @ apart) * (self.count * other.count / count),
        )
