"""Two ways to a threshold: the paper's m-sigma rule (eqs. 11, 12) and split-conformal calibration, of all or by class.

All flag a score that is *below* their ``offset``: high is clean.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, floor, sqrt
from typing import Any, Protocol

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

    def judge(self, scores: FloatArray, labels: NDArray[Any] | None = None) -> Judgement:
        """Judge (N,) scores in their order; ``labels`` (N,) of the samples, where the threshold asks for them."""
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

    def judge(self, scores: FloatArray, labels: NDArray[Any] | None = None) -> Judgement:
        """Flag the scores whose p-value is at most alpha, which are those below the offset."""
        del labels
        return Judgement(scores < self.offset, np.full(len(scores), self.offset), self.p_values(scores))


class MondrianThreshold:
    """A :class:`ConformalThreshold` for each class: the promise then holds among the images of each label.

    Images of a class that scores lower than the others are then not flagged more often. The class is the label that
    Sim-DNN gives (eq. 13), which is known of every image; the true one is not (Vovk, Gammerman and Shafer, 2005, on
    Mondrian conformal prediction).

    Parameters
    ----------
    scores, labels : (n,) scores and labels given of clean images that were held out of learning
    classes : every label that may be given
    alpha : false-alarm rate asked for

    Raises
    ------
    InputError
        As for :class:`ConformalThreshold`, of any of the classes.

    >>> scores, labels = np.array([1.0, 2.0, 5.0, 6.0]), np.array(["a", "a", "b", "b"])
    >>> MondrianThreshold(scores, labels, ["a", "b"], 0.34).judge(np.array([4.0, 4.0]), labels[1:3]).attack.tolist()
    [False, True]
    """

    def __init__(self, scores: ArrayLike, labels: ArrayLike, classes: Iterable[Any], alpha: float) -> None:
        given, of = np.asarray(scores, dtype=np.float64), np.asarray(labels)
        self.of_class: dict[Any, ConformalThreshold] = {}
        for label in classes:
            try:
                self.of_class[label] = ConformalThreshold(given[of == label], alpha)
            except InputError as error:
                raise InputError(f"class {label}: {error}") from error

    @property
    def offset(self) -> float:
        """The highest of the classes' offsets: no score above it is flagged."""
        return max(threshold.offset for threshold in self.of_class.values())

    def judge(self, scores: FloatArray, labels: NDArray[Any] | None = None) -> Judgement:
        """Judge each score among those of its label; InputError without labels."""
        if labels is None:
            raise InputError("a threshold for each class needs the labels of the samples")
        offsets, p_values = np.empty(len(scores)), np.empty(len(scores))
        for label, threshold in self.of_class.items():
            own = labels == label
            offsets[own], p_values[own] = threshold.offset, threshold.p_values(scores[own])
        return Judgement(scores < offsets, offsets, p_values)


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

    def judge(self, scores: FloatArray, labels: NDArray[Any] | None = None) -> Judgement:
        """Flag the next scores of the stream, one after the other."""
        del labels
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
