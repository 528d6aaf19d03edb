"""Line 2 of the paper's procedure: each feature is scaled to [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import Array, like

_NO_RANGE = 10
"""A feature whose range is below this many machine epsilons counts as constant, and becomes 0."""


@dataclass(frozen=True)
class FeatureRange:
    """Line 2: scaling of each feature by its range on the images learned, as scikit-learn's ``MinMaxScaler`` does.

    Attributes
    ----------
    low, high : (n,) smallest and largest value, in the precision of the features

    >>> features = np.array([[1.0, 5.0], [3.0, 5.0]])
    >>> FeatureRange.of(features)(features).tolist()
    [[0.0, 0.0], [1.0, 0.0]]
    """

    low: NDArray[Any]
    high: NDArray[Any]

    @classmethod
    def of(cls, features: NDArray[Any]) -> Self:
        """Return the range of (N, n) features."""
        return cls(features.min(axis=0), features.max(axis=0))

    def __call__(self, features: Array) -> Array:
        """Scale (N, n) features, same shape; those of other images may lie outside [0, 1]."""
        scale, shift = self._map
        return features * like(scale, features) + like(shift, features)

    @cached_property
    def _map(self) -> tuple[NDArray[Any], NDArray[Any]]:
        width = self.high - self.low
        scale = 1 / np.where(width < _NO_RANGE * np.finfo(width.dtype).eps, 1, width).astype(width.dtype)
        return scale, -self.low * scale
