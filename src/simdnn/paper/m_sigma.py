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
    """The m-sigma rule on a stream, eqs. (11) and (12): flag what is ``m`` deviations under the running mean.

    Mean and deviation take each score in before it is judged, as printed; a score that is then flagged is taken back
    out, so that an attacker cannot teach the threshold.

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
        """Return a threshold that has taken in (n,) scores of clean images without judging them.

        Raises
        ------
        InputError
            If there are so few that nothing could ever be flagged.
        """
        clean = np.asarray(scores, dtype=np.float64).ravel()
        if len(clean) <= m**2:
            raise InputError(
                f"{len(clean)} calibration samples are too few for the published rule: each score is part of the "
                f"mean it is held against, so that with {m**2:g} or fewer none can lie m = {m:g} deviations below; "
                "give more"
            )
        threshold = cls(m)
        for score in clean:
            threshold._take_in(float(score))
        return threshold

    @property
    def deviation(self) -> float:
        """Recursive standard deviation of the scores taken in."""
        return sqrt(self.scatter / self.count) if self.count else 0.0

    @property
    def offset(self) -> float:
        """The score below which eq. (12) sees an attack."""
        return self.mean - self.m * self.deviation

    def flag(self, score: float) -> bool:
        """Eqs. (11) and (12) for the next score of the stream: whether it is a possible attack."""
        return self._next(score)[0]

    def judge(self, scores: FloatArray, labels: NDArray[Any] | None = None) -> Decision:
        """Flag the next scores of the stream, one after the other."""
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
        old = self.mean
        self.mean = update_running_mean(old, score, self.count)
        self.scatter += (score - old) * (score - self.mean)
