"""Adaptive conformal inference: a threshold that keeps its false-alarm rate under drift, with labels from people."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike

from simdnn.conformal.split import ConformalThreshold
from simdnn.errors import InputError


@dataclass(frozen=True)
class Flag:
    """Decision of an :class:`AdaptiveThreshold` on one image.

    Attributes
    ----------
    number : position of the image in the stream, from 0
    flagged : whether the image is a possible attack
    ask : whether the image is to be labelled by a person: always if flagged, otherwise by chance
    level : the level alpha_t that the p-value was compared with; it may lie outside [0, 1]
    """

    number: int
    flagged: bool
    ask: bool
    level: float


class AdaptiveThreshold:
    """Adaptive conformal inference: each labelled clean image corrects the level.

    ``alpha_(t+1) = alpha_t + gamma (alpha - err_t)`` over clean images t, with err_t = 1 for a false alarm and else 0
    (Gibbs and Candes, "Adaptive conformal inference under distribution shift", NeurIPS 2021). An image is flagged if
    its p-value is at most alpha_t. People label every flagged image and a random sample of the others; the step of a
    sampled image is divided by its sampling probability. Attacked images do not change the level.

    The guarantee does not assume exchangeable images: over any T clean images, drifting or chosen by an attacker, the
    false-alarm rate is within ``(max(alpha, 1 - alpha) + gamma) / (T gamma)`` of ``alpha`` if all are labelled. If a
    sample is labelled, this holds in expectation, with ``gamma * max(1, alpha / sampled)`` in place of the gamma in
    the numerator. Labels must be correct and arrive before the next image; a delay of d images adds d steps of gamma
    to the bound.

    It does not guarantee that attacks are found. Each odd image that a person labels clean lowers the level, so
    somebody who sends many of them can lower it on purpose: watch ``level``.

    Parameters
    ----------
    scores : (n,) scores of clean images that were held out of learning; high is clean
    alpha : target false-alarm rate, in [1 / (n + 1), 1); also the first level
    gamma : step size, > 0: a larger one follows faster and fluctuates more
    sampled : probability with which an image that is not flagged is to be labelled, in (0, 1]
    seed : seed of that sample. Keep it secret: it tells which images nobody looks at

    Attributes
    ----------
    level : alpha_t for the next image

    Raises
    ------
    InputError
        As for :class:`ConformalThreshold`, or if gamma or sampled is outside its range.

    >>> threshold = AdaptiveThreshold(np.arange(1.0, 20.0), 0.1, gamma=0.04)
    >>> odd = threshold.flag(0.5)
    >>> threshold.feedback(odd, clean=True)
    >>> odd.flagged, round(threshold.level, 3)
    (True, 0.064)
    """

    def __init__(
        self,
        scores: ArrayLike,
        alpha: float,
        *,
        gamma: float = 0.005,
        sampled: float = 1.0,
        seed: int = 0,
    ) -> None:
        if not (isfinite(gamma) and gamma > 0):
            raise InputError(f"gamma is the step of the level, expected above 0; got {gamma}")
        if not 0 < sampled <= 1:
            raise InputError(
                f"sampled is the probability that an image is labelled, expected in (0, 1]; got {sampled}"
            )
        self.start = ConformalThreshold(scores, alpha)
        self.alpha = alpha
        self.gamma = gamma
        self.sampled = sampled
        self.level = alpha
        self._random = np.random.default_rng(seed)
        self._count = 0
        self._asked: set[int] = set()

    def flag(self, score: float) -> Flag:
        """Decide on the next image, and on whether a person is to label it.

        Raises
        ------
        InputError
            If the score is not finite; the threshold is then unchanged.
        """
        if not isfinite(score):
            raise InputError(f"expected a finite score; got {score}")
        flagged = float(self.start.p_values(score)) <= self.level + 1e-9
        ask = bool(self._random.random() < self.sampled) or flagged
        decision = Flag(self._count, flagged, ask, self.level)
        self._count += 1
        if ask:
            self._asked.add(decision.number)
        return decision

    def feedback(self, flag: Flag, *, clean: bool) -> None:
        """Take in the label that a person gave an image. Labels may come in any order, one for each image.

        Raises
        ------
        InputError
            If this image was not to be labelled, or has been already.
        """
        if flag.number not in self._asked:
            raise InputError(f"expected the label of an image that was asked for; got image {flag.number}")
        self._asked.remove(flag.number)
        if not clean:
            return
        if flag.flagged:
            self.level += self.gamma * (self.alpha - 1)
        else:
            self.level += self.gamma * self.alpha / self.sampled
