"""The distribution of each source of evidence on clean images, and an image's deviations from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdnn.arrays import Array, FloatArray, namespace
from simdnn.errors import InputError
from simdnn.rules.sources import BY_NAME, SOURCES, Measured, Scales

FEWEST = 10
"""Clean images, at least, that a profile is learned from."""

_TINY = 1e-9
_UNDER_ROOT = 1e-18
"""Added under the square root, whose gradient at 0 is infinite."""


@dataclass(frozen=True)
class Line:
    """Least-squares line of a source's value, as a function of the spread of the views, on clean images.

    Attributes
    ----------
    slope, intercept : of the line
    deviation : standard deviation of the residuals, > 0
    """

    slope: float
    intercept: float
    deviation: float

    @classmethod
    def fit(cls, spread: FloatArray, value: FloatArray) -> Line:
        """Fit a line to (N,) spreads and values; for a constant spread the slope is 0."""
        centred = spread - spread.mean()
        scatter = float((centred**2).sum())
        slope = float((centred * value).sum()) / scatter if scatter > _TINY else 0.0
        intercept = float(value.mean() - slope * spread.mean())
        return cls(slope, intercept, max(float((value - slope * spread - intercept).std()), _TINY))


@dataclass(frozen=True)
class CleanProfile:
    """The distribution of each source on clean images.

    Attributes
    ----------
    scales : scales of the comparison with views
    lines : line of each source by its name
    """

    scales: Scales
    lines: dict[str, Line]

    @classmethod
    def learn(cls, measured: Measured) -> CleanProfile:
        """Learn from N clean images.

        Raises
        ------
        InputError
            If there are fewer than ten.
        """
        n = len(measured.similarity)
        if n < FEWEST:
            raise InputError(
                f"expected at least {FEWEST} clean images to learn a profile from, got {n}; give more"
            )
        scales = Scales(
            float(np.mean(measured.views.feature_distance)), float(np.mean(measured.views.feature_spread))
        )
        lines = {}
        for source in SOURCES:
            spread = source.spread(measured, scales) if source.spread else np.zeros(n)
            lines[source.name] = Line.fit(spread, source.value(measured, scales))
        return cls(scales, lines)

    def deviations(self, measured: Measured) -> dict[str, Array]:
        """Return each source's deviation from clean images: (N,) in standard deviations; positive for an attack."""
        deviations = {}
        for name, line in self.lines.items():
            source = BY_NAME[name]
            value = source.value(measured, self.scales) - line.intercept
            if source.spread:
                value = value - line.slope * source.spread(measured, self.scales)
            deviations[name] = value / line.deviation
        return deviations

    def score(self, measured: Measured) -> Array:
        """Score N images: (N,), at most 0; high is clean.

        The score is minus the square root of the weighted sum of squared deviations; negative deviations count as 0.
        """
        total = 0.0
        for name, deviation in self.deviations(measured).items():
            total = total + BY_NAME[name].weight * namespace(deviation).clip(deviation, min=0.0) ** 2
        return -namespace(total).sqrt(total + _UNDER_ROOT)
