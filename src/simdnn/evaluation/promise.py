"""Whether the false alarms that were counted contradict the rate that a guard promises."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import Any

from scipy.stats import betabinom

SIGNIFICANCE = 0.025
"""Probability that a promise which is kept is called contradicted, at most."""


def false_alarm_law(alpha: float, calibrated: int, n: int) -> Any:
    """Return the distribution of the number of ``n`` new clean images that a guard flags.

    Among n new images that are exchangeable with k calibration images, the number with a conformal p-value of at most
    alpha is beta-binomial(n, j, k + 1 - j) with j = floor(alpha (k + 1)) if scores do not tie (Vovk, 2012). A guard
    that flags under a further condition as well, as the profile rule does, flags no more.

    >>> f"{false_alarm_law(0.05, calibrated=599, n=250).mean():g}"
    '12.5'
    """
    j = floor(alpha * (calibrated + 1) + 1e-9)
    return betabinom(n, j, calibrated + 1 - j)


@dataclass(frozen=True)
class Promise:
    """A promised false-alarm rate, and what was counted.

    Attributes
    ----------
    alpha : the promised rate, on average over draws of the calibration images
    calibrated : number of clean images that set the threshold
    n, flagged : new clean images, and those of them that were flagged
    p_value : probability that as many or more are flagged where the promise is kept
    most : as many are flagged at most where it is kept, but for a probability of :data:`SIGNIFICANCE`
    contradicted : whether more were
    """

    alpha: float
    calibrated: int
    n: int
    flagged: int
    p_value: float
    most: int
    contradicted: bool

    @classmethod
    def test(cls, alpha: float, calibrated: int, n: int, flagged: int) -> Promise:
        """Hold a count against its exact law, :func:`false_alarm_law`.

        >>> Promise.test(alpha=0.05, calibrated=600, n=250, flagged=9).contradicted
        False
        >>> Promise.test(alpha=0.05, calibrated=600, n=250, flagged=40).most
        21
        """
        law = false_alarm_law(alpha, calibrated, n)
        most = int(law.ppf(1 - SIGNIFICANCE))
        return cls(alpha, calibrated, n, flagged, float(law.sf(flagged - 1)), most, flagged > most)

    @property
    def sentence(self) -> str:
        """What that means, in one sentence."""
        promised = f"{self.flagged} of {self.n} flagged; the promise of {100 * self.alpha:g} % is"
        if not self.contradicted:
            return f"{promised} not contradicted"
        return (
            f"{promised} contradicted: at most {self.most} were to be expected; the images differ from the calibration "
            "images, or the network was trained on those; run `simdnn calibrate`"
        )
