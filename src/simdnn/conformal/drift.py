"""Detect drift, or a campaign of attacks, in a stream of scores, by a conformal test martingale.

Each new score gets an online p-value: its rank among the calibration scores *and* the stream so far. If all scores are
exchangeable, these p-values are independent and uniform (Vovk, Gammerman and Shafer, *Algorithmic Learning in a Random
World*, 2005). P-values among the calibration scores alone are not: given those scores they are biased, and a long
stream would raise a false alarm sooner or later. The test bets against uniformity at fair odds, so its capital, 1 at
the start, is a martingale: by Ville's inequality it ever reaches 1 / delta with probability at most delta.

The martingale is a "Sleeper/Stayer": all capital starts asleep, out of the bets, and wakes little by little, split
evenly among the bets (ibid., 2nd edition, 2022, chapter 9; Vovk et al., "Retrain or not retrain", COPA 2021). After n
images ``REST / (REST + n)`` of the initial capital still sleeps, so that a long clean stream leaves enough to detect a
later change; if a constant share woke with each image, the rest would shrink exponentially.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isfinite, log, log1p

import numpy as np
from numpy.typing import ArrayLike

from simdnn.arrays import FloatArray
from simdnn.errors import InputError

REST = 300  # images after which half of the capital is awake
EXPONENTS = np.array([0.3, 0.5, 0.7])
FLOOR = 1e-3  # smaller p-values count as this one, which bounds what a single image can pay
LOG_MEANS: FloatArray = np.log(FLOOR**EXPONENTS + (1 - FLOOR**EXPONENTS) / EXPONENTS)


def log_bets(p_value: float) -> FloatArray:
    """Return (6,) the natural log of the factor by which each bet multiplies its stake; at most log 42.

    A bet pays ``max(p, FLOOR) ** (e - 1)`` divided by its mean over uniform p. There are three on low p-values, one
    for each e of `EXPONENTS`, and the same three on high ones, with ``1 - p`` for p.

    >>> np.exp(log_bets(0.0)).round(2).tolist()
    [41.42, 16.07, 5.57, 0.33, 0.51, 0.7]
    """
    sides = np.maximum([p_value, 1 - p_value], FLOOR)
    pays: FloatArray = np.log(sides)[:, None] * (EXPONENTS - 1) - LOG_MEANS
    return pays.ravel()


@dataclass(frozen=True)
class DriftState:
    """State of a :class:`DriftMonitor` after a score.

    Attributes
    ----------
    n : number of scores since the start or the last reset
    p_value : share of scores so far that are lower than the last one, ties broken at random; in (0, 1]
    log10_capital : evidence of a change: log10 of the capital, 0 at the start, an alarm at ``-log10(delta)``
    alarm : whether the capital has reached 1 / delta since then
    """

    n: int
    p_value: float
    log10_capital: float
    alarm: bool


class DriftMonitor:
    """Raise an alarm when the scores of a stream no longer look like those of the calibration images.

    The guarantee: while all scores, calibration and stream, are exchangeable, the probability of *ever* raising an
    alarm is at most ``delta``, however long the stream. The test is two-sided, since a changed camera may raise scores
    as well as lower them. It does not detect scores that concentrate around the median, as from a camera that is stuck
    on one ordinary image.

    - *One odd image* multiplies the capital by less than 42, however odd it is. At the default ``delta`` it cannot
      raise an alarm on its own while the capital is at most 1.
    - *A campaign* whose images score below every clean one is detected soon. With 600 calibration images the median
      delay is 4 images if all are attacked, 15 if 30 % are, and 90 if 10 % are. If 30 % are attacked after 2,000 clean
      images, it is 16; after 20,000, it is 23.
    - *A changed camera* that shifts all scores by 0.4 standard deviations after 2,000 clean images: 170 images.
    - *Odd images at a small constant rate* change the distribution and may be detected in time: 1 % of 3,000 images
      raised an alarm in about one stream of a hundred.

    All scores are kept, 32 bytes each. A new score costs an O(log n) search and an O(n) move: 32 MB and under a
    millisecond at a million scores. Scores after a change are ranked too, so that the evidence fades: a change that is
    not detected within about as many images as came before it may never be.

    Parameters
    ----------
    calibration_scores : (n,) scores of clean images that were held out of learning; high is clean
    delta : probability of a false alarm, ever, in (0, 1)
    seed : seed of the random tie-breaking

    Attributes
    ----------
    state : the state after the last score

    Raises
    ------
    InputError
        If delta is outside its range, or there is no calibration score, or one that is not finite.

    >>> rng = np.random.default_rng(0)
    >>> monitor = DriftMonitor(rng.normal(size=600))
    >>> any(state.alarm for state in monitor.watch(rng.normal(size=200)))
    False
    >>> monitor.observe(-9.0).alarm
    False
    >>> [state.alarm for state in monitor.watch([-9.0, -8.0, -9.5, -8.5])]
    [False, False, True, True]
    """

    def __init__(self, calibration_scores: ArrayLike, *, delta: float = 0.01, seed: int = 0) -> None:
        self.calibration: FloatArray = np.sort(np.asarray(calibration_scores, dtype=np.float64).ravel())
        self.delta = delta
        self.seed = seed
        if not 0 < delta < 1:
            raise InputError(
                f"delta is the probability of a false alarm, expected between 0 and 1; got {delta}"
            )
        if not len(self.calibration):
            raise InputError("expected scores of clean images to compare the stream with; got none")
        if not np.isfinite(self.calibration).all():
            raise InputError("calibration scores must be finite; got missing or infinite values")
        self.reset()

    def reset(self) -> None:
        """Forget the stream and the alarm, and start again from the calibration scores, as after a camera's repair.

        After a change that stays, make a new monitor, calibrated on new clean images, instead.
        """
        self._ranked: list[float] = self.calibration.tolist()
        self._random = np.random.default_rng(self.seed)
        self._log_asleep = 0.0
        self._log_awake: FloatArray = np.full(2 * len(EXPONENTS), -np.inf)
        self._n = 0
        self._alarm = False
        self.state = DriftState(0, 1.0, 0.0, False)

    def observe(self, score: float) -> DriftState:
        """Take in the next score of the stream, and return the state after it.

        Raises
        ------
        InputError
            If the score is not finite; the monitor is then unchanged.
        """
        if not isfinite(score):
            raise InputError(f"expected a finite score; got {score}")
        p_value = self._rank(float(score))
        self._wake()
        self._log_awake += log_bets(p_value)
        log_capital = float(np.logaddexp(self._log_asleep, np.logaddexp.reduce(self._log_awake)))
        self._alarm = self._alarm or log_capital >= -log(self.delta)
        self.state = DriftState(self._n, p_value, log_capital / log(10), self._alarm)
        return self.state

    def watch(self, scores: Iterable[float]) -> Iterator[DriftState]:
        """Yield the state after each score, as :meth:`observe`."""
        return map(self.observe, scores)

    def _rank(self, score: float) -> float:
        """Return the online p-value of a score, ties broken at random, and insert it among the ranked scores."""
        below, up_to = bisect_left(self._ranked, score), bisect_right(self._ranked, score)
        self._ranked.insert(up_to, score)
        tie_break = 1 - self._random.random()  # in (0, 1]
        return float((below + tie_break * (up_to - below + 1)) / len(self._ranked))

    def _wake(self) -> None:
        """Move the capital that wakes before the next score to the bets."""
        self._n += 1
        waking = 1 / (REST + self._n)
        shares = self._log_asleep + log(waking / len(self._log_awake))
        self._log_awake = np.logaddexp(self._log_awake, shares)
        self._log_asleep += log1p(-waking)
