"""The paper's m-sigma rule on a stream of scores, eqs. (11) and (12)."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simdnn.arrays import FloatArray
from simdnn.conformal.threshold import Decision
from simdnn.errors import InputError
from simdnn.paper.equations import is_attack, update_running_mean


@dataclass
class RecursiveThreshold:
    """The m-sigma rule on a stream, eqs. (11) and (12): flag scores more than ``m`` deviations below the running mean.

    As in the paper, each score updates mean and deviation before it is compared with them. Unlike in the paper, this
    is undone for a flagged score, so that attacks do not shift the threshold.

    Attributes
    ----------
    m : number of standard deviations, >= 0
    count : number of scores taken in
    mean : their mean
    scatter : sum of their squared distances to the mean

    >>> stream = RecursiveThreshold.of([0.8, 0.9, 0.7, 0.9, 0.8, 0.9], m=2.0)
    >>> stream.flag(0.2), stream.flag(0.8), stream.count
    (True, False, 7)
    """

    m: float = 3.0
    count: int = 0
    mean: float = 0.0
    scatter: float = 0.0

    @classmethod
    def of(cls, scores: ArrayLike, m: float = 3.0) -> RecursiveThreshold:
        """Return a threshold that has taken in (n,) scores of clean images, none of them flagged.

        Raises
        ------
        InputError
            If there are at most ``m ** 2`` scores: then no score could ever be flagged.
        """
        clean = np.asarray(scores, dtype=np.float64).ravel()
        if len(clean) <= m**2:
            raise InputError(
                f"{len(clean)} calibration samples are too few for the published rule: each score is part of the "
                f"mean that it is compared with, so that with {m**2:g} or fewer none can lie m = {m:g} deviations "
                "below; give more"
            )
        threshold = cls(m)
        for score in clean:
            threshold._take_in(float(score))
        return threshold

    @property
    def deviation(self) -> float:
        """Standard deviation of the scores taken in; 0 without any."""
        return sqrt(self.scatter / self.count) if self.count else 0.0

    @property
    def offset(self) -> float:
        """Scores below it are flagged, eq. (12)."""
        return self.mean - self.m * self.deviation

    def flag(self, score: float) -> bool:
        """Apply eqs. (11) and (12) to the next score of the stream; return whether it is flagged."""
        return self._next(score)[0]

    def judge(self, scores: FloatArray, labels: NDArray[Any] | None = None) -> Decision:
        """Apply eqs. (11) and (12) to the next (N,) scores of the stream, one after the other; labels are ignored."""
        del labels
        steps = [self._next(float(score)) for score in scores]
        attack = np.array([flagged for flagged, _ in steps], dtype=bool)
        return Decision(attack, np.array([offset for _, offset in steps]), None)

    def _next(self, score: float) -> tuple[bool, float]:
        before = (self.count, self.mean, self.scatter)
        self._take_in(score)
        offset, flagged = self.offset, is_attack(score, self.mean, self.deviation, self.m)
        if flagged:
            self.count, self.mean, self.scatter = before
        return flagged, offset

    def _take_in(self, score: float) -> None:
        self.count += 1
        previous_mean = self.mean
        self.mean = update_running_mean(previous_mean, score, self.count)
        self.scatter += (score - previous_mean) * (score - self.mean)
