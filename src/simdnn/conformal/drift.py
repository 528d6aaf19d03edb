"""One odd image, or a changed camera or a campaign of attacks? A conformal test martingale over a stream of scores.

Each new score is ranked among the calibration scores *and* the stream so far. If all of them are exchangeable, such
online p-values are independent and uniform (Vovk, Gammerman and Shafer, *Algorithmic Learning in a Random World*,
2005); ranked among the calibration scores alone they are not, given those scores, and a long stream would raise a
false alarm sooner or later. A gambler bets against uniformity at fair odds, so by Ville's inequality the capital,
1 at first, ever reaches 1 / delta with probability at most delta.

All capital is asleep at first and wakes little by little, divided evenly among the bets: a sleeper that stays awake
(ibid., 2nd edition, 2022, chapter 9; Vovk et al., "Retrain or not retrain", COPA 2021, on martingales of this kind).
After n images ``REST / (REST + n)`` of the initial capital still sleeps, so that a long clean run does not use up what
a later change needs; a constant rate would lose it exponentially.
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
FLOOR = 1e-3  # p-values below this pay no more, so that no single image can pay a fortune
LOG_MEANS: FloatArray = np.log(FLOOR**EXPONENTS + (1 - FLOOR**EXPONENTS) / EXPONENTS)


def log_bets(p_value: float) -> FloatArray:
    """Return the log of what each bet pays per unit of stake: (6,), at most log 42.

    The bets are ``max(p, FLOOR) ** (e - 1)``, divided by its mean over uniform p, for each e of ``EXPONENTS``: three
    on low p-values, then the same three on high ones, that is on ``1 - p``.

    >>> np.exp(log_bets(0.0)).round(2).tolist()
    [41.42, 16.07, 5.57, 0.33, 0.51, 0.7]
    """
    sides = np.maximum([p_value, 1 - p_value], FLOOR)
    pays: FloatArray = np.log(sides)[:, None] * (EXPONENTS - 1) - LOG_MEANS
    return pays.ravel()


@dataclass(frozen=True)
class DriftState:
    """What a :class:`DriftMonitor` knows after a score.

    Attributes
    ----------
    n : scores observed since the start or the last reset
    p_value : share of scores so far that are lower than the last one, ties broken at random; in (0, 1]
    log10_capital : evidence of a change, as a power of ten; 0 at the start, an alarm at ``-log10(delta)``
    alarm : whether the capital has ever reached 1 / delta
    """

    n: int
    p_value: float
    log10_capital: float
    alarm: bool


class DriftMonitor:
    """Raise an alarm when the scores of a stream stop looking like those of the calibration images.

    The promise: while all scores, calibration and stream, are exchangeable, the probability of *ever* raising an
    alarm is at most ``delta``, however long the stream. The monitor looks both ways, as a changed camera may raise
    scores as well as lower them; not for scores drawn to their middle, as by a camera stuck at an ordinary image.

    - *One odd image* multiplies the capital by less than 42, however odd it is: at the default ``delta`` it cannot
      raise an alarm from the initial capital or any smaller, and as most of that sleeps it earns far less.
    - *A campaign* whose images score below every clean one is found soon: with 600 calibration images after a median
      of 4 images if all are attacked, 15 if 30 % are, and 90 if 10 % are. The same 30 % after 2,000 clean images: 16;
      after 20,000: 23.
    - *A changed camera* that lowers or raises all scores by 0.4 standard deviations after 2,000 clean images: 170.
    - *Odd images at a steady small rate* are a change of rate, and may in time be found: 1 % of 3,000 images raised
      an alarm in about one stream of a hundred.

    The stream is kept, 32 bytes a score, and each new score costs an O(log n) search and an O(n) move: at a million
    scores 32 MB and under a millisecond. Scores that come after a change join the ranks too, so a change that is not
    found within about as many images as there were before it fades.

    Parameters
    ----------
    calibration_scores : (n,) scores of clean images that were held out of learning; high is clean
    delta : probability of a false alarm, ever, in (0, 1)
    seed : seed of the random order among equal scores

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
        """Forget the stream and the alarm, as after a repaired camera, and start again from the calibration scores.

        If the change is there to stay, calibrate a new monitor on new clean images instead.
        """
        self._ranked: list[float] = self.calibration.tolist()
        self._random = np.random.default_rng(self.seed)
        self._log_asleep = 0.0
        self._log_awake: FloatArray = np.full(2 * len(EXPONENTS), -np.inf)
        self._n = 0
        self._alarm = False

    def observe(self, score: float) -> DriftState:
        """Take in the next score of the stream and say where the monitor stands.

        Raises
        ------
        InputError
            If the score is not finite; the monitor is then as it was before.
        """
        if not isfinite(score):
            raise InputError(f"expected a finite score; got {score}")
        p_value = self._rank(float(score))
        self._wake()
        self._log_awake += log_bets(p_value)
        log_capital = float(np.logaddexp(self._log_asleep, np.logaddexp.reduce(self._log_awake)))
        self._alarm = self._alarm or log_capital >= -log(self.delta)
        return DriftState(self._n, p_value, log_capital / log(10), self._alarm)

    def watch(self, scores: Iterable[float]) -> Iterator[DriftState]:
        """Observe one score after the other."""
        return map(self.observe, scores)

    def _rank(self, score: float) -> float:
        """Return the smoothed online p-value of a score and put it among those ranked."""
        below, up_to = bisect_left(self._ranked, score), bisect_right(self._ranked, score)
        self._ranked.insert(up_to, score)
        chance = 1 - self._random.random()  # in (0, 1]
        return float((below + chance * (up_to - below + 1)) / len(self._ranked))

    def _wake(self) -> None:
        """Hand the bets what wakes before the next score."""
        self._n += 1
        waking = 1 / (REST + self._n)
        shares = self._log_asleep + log(waking / len(self._log_awake))
        self._log_awake = np.logaddexp(self._log_awake, shares)
        self._log_asleep += log1p(-waking)
