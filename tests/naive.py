"""The paper in slow, obvious Python, written from its print and its list of errata; everything fast must equal it.

Sums run in extended precision, so that a disagreement is never this file's rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Wide = np.longdouble
Vector = NDArray[np.longdouble]


def distance2(a: Vector, b: Vector) -> Any:
    return ((a - b) ** 2).sum()


def cauchy(d2: Any, variance: Any) -> Any:
    """Eqs. 2 and 10; the limit where there is no variance."""
    if variance == 0:
        return Wide(1.0 if d2 == 0 else 0.0)
    return 1 / (1 + d2 / variance)


def recursive_density(x: Vector, mean: Vector, scalar_product: Any) -> Any:
    """Eq. 3 as printed."""
    return 1 / (1 + distance2(x, mean) + scalar_product - (mean * mean).sum())


@dataclass
class Learned:
    """What one class has learned: per prototype its place, its members in order, and its exemplar."""

    vectors: list[Vector]
    members: list[list[int]]
    exemplars: list[int]
    mean: Vector
    scalar_product: Any

    @property
    def support(self) -> list[int]:
        return [len(rows) for rows in self.members]

    @property
    def variance(self) -> Any:
        return self.scalar_product - (self.mean * self.mean).sum()


def learn(samples: ArrayLike, *, printed_density: bool = False) -> Learned:
    """Section II.E: a plain loop over eqs. 4, 5, 2 (or 3), 8, 7 and line 11."""
    x = np.asarray(samples).astype(Wide)
    pi, members, exemplars = [x[0].copy()], [[0]], [0]
    mu, product = x[0].copy(), (x[0] ** 2).sum()
    for i in range(1, len(x)):
        n = Wide(i + 1)
        mu = (n - 1) / n * mu + x[i] / n  # eq. 4
        product = (n - 1) / n * product + (x[i] ** 2).sum() / n  # eq. 5
        variance = (
            sum((distance2(row, mu) for row in x[: i + 1]), Wide(0)) / n
        )  # Sigma - ||mu||^2, no cancellation
        if printed_density:
            s = [recursive_density(point, mu, variance + (mu * mu).sum()) for point in [x[i], *pi]]
        else:
            s = [cauchy(distance2(point, mu), variance) for point in [x[i], *pi]]
        coincides = any(bool((point == x[i]).all()) for point in pi)
        if not coincides and (s[0] >= max(s[1:]) or s[0] <= min(s[1:])):  # eq. 8
            pi.append(x[i].copy())
            members.append([i])
            exemplars.append(i)
            continue
        distances = [distance2(x[i], point) for point in pi]
        j = distances.index(min(distances))  # eq. 7
        count = len(members[j])
        pi[j] = Wide(count) / (count + 1) * pi[j] + x[i] / Wide(count + 1)  # line 11, corrected
        members[j].append(i)
        if distance2(x[i], pi[j]) < (1 - 1e-9) * distance2(
            x[exemplars[j]], pi[j]
        ):  # a tie: the earlier stays
            exemplars[j] = i
    return Learned(pi, members, exemplars, mu, product)


def similarities(
    x: ArrayLike, classes: Sequence[Learned], samples: Sequence[ArrayLike]
) -> NDArray[np.float64]:
    """Eq. 10 with the variance that all share: the mean squared distance of the samples to their class's mean."""
    total, count = Wide(0), 0
    for learned, own in zip(classes, samples, strict=True):
        for row in np.asarray(own).astype(Wide):
            total, count = total + distance2(row, learned.mean), count + 1
    points = [point for learned in classes for point in learned.vectors]
    rows = [
        [cauchy(distance2(row, point), total / count) for point in points]
        for row in np.asarray(x).astype(Wide)
    ]
    return np.array(rows, dtype=np.float64)


def winning_lambda(row: Sequence[float]) -> float:
    """Eq. 9, for the winner."""
    return max(row) / sum(row)


def stream(calibration: Sequence[float], scores: Sequence[float], m: float) -> list[bool]:
    """Eqs. 11 and 12 with all past scores kept: mean and deviation are computed anew for each."""
    past, flags = list(calibration), []
    for score in scores:
        every = [*past, score]
        mean = sum(every) / len(every)
        deviation = (sum((value - mean) ** 2 for value in every) / len(every)) ** 0.5
        flags.append(score < mean - m * deviation)
        if not flags[-1]:
            past = every
    return flags


def p_value(calibration: Sequence[float], score: float) -> float:
    return (1 + sum(value <= score for value in calibration)) / (len(calibration) + 1)
