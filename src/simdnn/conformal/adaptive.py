"""A threshold that keeps its false-alarm rate while the images change, by learning from people's labels."""

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
    number : of the image in the stream, from 0
    flagged : whether the image is a possible attack
    ask : whether people shall label the image: always if flagged, else by chance
    level : the level alpha_t that the p-value was held against; it may leave [0, 1]
    """

    number: int
    flagged: bool
    ask: bool
    level: float


class AdaptiveThreshold:
    """Adaptive conformal inference: after each labelled clean image the level moves against the error.

    ``alpha_(t+1) = alpha_t + gamma (alpha - err_t)`` over clean images t, with err_t = 1 where one was flagged (Gibbs
    and Candes, "Adaptive conformal inference under distribution shift", NeurIPS 2021). An image is flagged if its
    p-value is at most alpha_t. People label every image that was flagged, and of the others a random sample, whose
    steps are divided by its probability. Attacked images do not move the level.

    The promise needs no exchangeable images: over any T clean images, drifting or chosen by an attacker, the rate of
    false alarms is within ``(max(alpha, 1 - alpha) + gamma) / (T gamma)`` of ``alpha`` if all are labelled. With a
    sample that is so in expectation, with ``gamma * max(1, alpha / sampled)`` for the last gamma. Labels must be right
    and come before the next image; one that comes d images late adds d steps to it.

    What it does not promise: that attacks are found. Harmless but odd images that a person calls clean lower the level,
    so who may send many of them can lower it on purpose; watch ``level``.

    Parameters
    ----------
    scores : (n,) scores of clean images that were held out of learning; high is clean
    alpha : false-alarm rate asked for, in [1 / (n + 1), 1); also the first level
    gamma : step, > 0: larger follows faster and wavers more
    sampled : probability with which an image that was not flagged is to be labelled, in (0, 1]
    seed : of that sample; who knows it knows which images nobody looks at

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
        """Judge the next image, and say whether people shall label it.

        Raises
        ------
        InputError
            If the score is not finite; nothing has changed then.
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
        """Take in what people found an image to be, in any order, once each.

        Raises
        ------
        InputError
            If no label of this image is due.
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
