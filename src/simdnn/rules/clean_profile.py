"""What the evidence of clean images looks like, and how far an image deviates from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdnn.arrays import Array, FloatArray, namespace
from simdnn.errors import InputError
from simdnn.rules.sources import BY_NAME, SOURCES, Measured, Scales

FEWEST = 10
_TINY = 1e-9
_UNDER_ROOT = 1e-18
"""Added under the square root, whose gradient at 0 is infinite."""


@dataclass(frozen=True)
class Line:
    """Least-squares line of a source's values on clean images over the spread of their views.

    Attributes
    ----------
    slope, intercept : of the line
    deviation : standard deviation about it
    """

    slope: float
    intercept: float
    deviation: float

    @classmethod
    def fit(cls, spread: FloatArray, value: FloatArray) -> Line:
        """Fit to (N,) values; a spread that does not vary gives a level line."""
        centred = spread - spread.mean()
        scatter = float((centred**2).sum())
        slope = float((centred * value).sum()) / scatter if scatter > _TINY else 0.0
        intercept = float(value.mean() - slope * spread.mean())
        return cls(slope, intercept, max(float((value - slope * spread - intercept).std()), _TINY))


@dataclass(frozen=True)
class CleanProfile:
    """What clean images look like, source by source.

    Attributes
    ----------
    scales : of the comparison with views
    lines : by the name of the source
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
        """Return by how many standard deviations of clean images each source speaks for an attack: (N,) each."""
        found = {}
        for name, line in self.lines.items():
            source = BY_NAME[name]
            value = source.value(measured, self.scales) - line.intercept
            if source.spread:
                value = value - line.slope * source.spread(measured, self.scales)
            found[name] = value / line.deviation
        return found

    def score(self, measured: Measured) -> Array:
        """Score N images: (N,), at most 0; high is clean.

        Minus the length of the weighted deviations towards an attack; those in the other direction do not count.
        """
        total = 0.0
        for name, deviation in self.deviations(measured).items():
            total = total + BY_NAME[name].weight * namespace(deviation).clip(deviation, 0.0) ** 2
        return -namespace(total).sqrt(total + _UNDER_ROOT)
