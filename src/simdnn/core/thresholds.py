"""Two ways to a threshold: the paper's m-sigma rule (eqs. 11, 12) and split-conformal calibration.

Both flag a score that is *below* their ``offset``: high is clean.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, sqrt
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simdnn.core.equations import FloatArray, is_attack, update_running_mean
from simdnn.errors import InputError


@dataclass(frozen=True)
class Judgement:
    """What a threshold says of N scores.

    Attributes
    ----------
    attack : (N,) True where the score is below the offset
    offsets : (N,) the offset that each score was held against
    p_values : (N,) conformal p-values in (0, 1], None where the threshold has none
    """

    attack: NDArray[np.bool_]
    offsets: FloatArray
    p_values: FloatArray | None


class Threshold(Protocol):
    """Anything that tells attacks by their score."""

    @property
    def offset(self) -> float:
        """The score below which it sees an attack now."""
        ...

    def judge(self, scores: FloatArray) -> Judgement:
        """Judge (N,) scores in their order."""
        ...


class ConformalThreshold:
    """Split-conformal p-values: a clean image is flagged with probability at most ``alpha``.

    The promise holds on average over draws of the calibration images, for images exchangeable with them, without any
    assumption about the scores (Vovk, Gammerman and Shafer, *Algorithmic Learning in a Random World*, 2005).

    Parameters
    ----------
    scores : (n,) scores of clean images that were held out of learning
    alpha : false-alarm rate asked for, in [1 / (n + 1), 1)

    Raises
    ------
    InputError
        If alpha is outside that range: n scores cannot promise less than 1 / (n + 1).

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
            raise InputError(
                f"{n} calibration images cannot promise a false-alarm rate of {alpha}; "
                f"give at least {ceil(1 / alpha - 1e-9) - 1}, or ask for {1 / (n + 1):.3g} or more"
            )
        self.offset = float(self.scores[floor(alpha * (n + 1) + 1e-9) - 1])

    def p_values(self, scores: ArrayLike) -> FloatArray:
        """Return the share of scores, calibration and new one together, that are no higher: (N,), in (0, 1]."""
        rank = np.searchsorted(self.scores, np.asarray(scores, dtype=np.float64), side="right")
        return np.asarray((1 + rank) / (len(self.scores) + 1), dtype=np.float64)

    def judge(self, scores: FloatArray) -> Judgement:
        """Flag the scores whose p-value is at most alpha, which are those below the offset."""
        return Judgement(scores < self.offset, np.full(len(scores), self.offset), self.p_values(scores))


@dataclass
class RecursiveThreshold:
    """The m-sigma rule on a stream, eqs. (11) and (12): flag what is ``m`` deviations under the running mean.

    Mean and deviation take each score in before it is judged, as printed; a score that is then flagged is taken back
    out, so that an attacker cannot teach the threshold, unless ``learn_flagged`` asks for the letter of the paper.

    >>> stream = RecursiveThreshold(m=2.0).start([0.8, 0.9, 0.7, 0.9, 0.8, 0.9])
    >>> stream.flag(0.2), stream.flag(0.8), stream.count
    (True, False, 7)
    """

    m: float = 3.0
    learn_flagged: bool = False
    count: int = 0
    mean: float = 0.0
    scatter: float = 0.0

    def start(self, scores: ArrayLike) -> RecursiveThreshold:
        """Take in (n,) scores of clean images without judging them; return the threshold itself."""
        for score in np.asarray(scores, dtype=np.float64).ravel():
            self._take_in(float(score))
        return self

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

    def judge(self, scores: FloatArray) -> Judgement:
        """Flag the next scores of the stream, one after the other."""
        steps = [self._next(float(score)) for score in scores]
        attack = np.array([flagged for flagged, _ in steps], dtype=bool)
        return Judgement(attack, np.array([offset for _, offset in steps]), None)

    def _next(self, score: float) -> tuple[bool, float]:
        before = (self.count, self.mean, self.scatter)
        self._take_in(score)
        offset, flagged = self.offset, is_attack(score, self.mean, self.deviation, self.m)
        if flagged and not self.learn_flagged:
            self.count, self.mean, self.scatter = before
        return flagged, offset

    def _take_in(self, score: float) -> None:
        self.count += 1
        old = self.mean
        self.mean = update_running_mean(old, score, self.count)
        self.scatter += (score - old) * (score - self.mean)
