"""Certified rates over many images: how many are safe up to a radius, at what rate of false alarms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from simdnn.arrays import FloatArray, IntArray
from simdnn.errors import InputError
from simdnn.smoothing.bounds import lower_bound, upper_bound, worst_upper_bound
from simdnn.smoothing.radius import distance
from simdnn.smoothing.votes import share_needed


class CertifiedRates(NamedTuple):
    """Fraction of images that are certified, at each of R radii.

    Attributes
    ----------
    at : (R,) radii
    rate : (R,) fraction of images the radius of which is larger
    low, high : (R,) exact interval of that fraction among all such images
    """

    at: FloatArray
    rate: FloatArray
    low: FloatArray
    high: FloatArray


def certified_rates(radii: ArrayLike, at: ArrayLike, *, error: float = 0.05) -> CertifiedRates:
    """Fraction of images the certified radius of which is larger than each radius.

    Larger, not equal: a radius of 0 certifies nothing, so at 0 an abstention does not count.

    Parameters
    ----------
    radii : (N,) certified radii, N >= 1
    at : (R,) radii to ask for, >= 0
    error : probability, at most, that the interval of one radius misses; half of it on each side. The error of each
        image's own radius is not in it: the fraction of images that are *safe* is at least ``low`` less that error.

    >>> certified_rates([0.0, 0.4, 0.8, 0.8], [0.0, 0.5]).rate.tolist()
    [0.75, 0.5]
    """
    own, asked = np.asarray(radii, dtype=np.float64), np.atleast_1d(np.asarray(at, dtype=np.float64))
    if own.ndim != 1 or not len(own) or (own < 0).any() or (asked < 0).any():
        raise InputError("expected radii of at least one image, and none below 0")
    k: IntArray = (own[:, None] > asked).sum(axis=0)
    n = len(own)
    return CertifiedRates(asked, k / n, lower_bound(k, n, error / 2), upper_bound(k, n, error / 2))


@dataclass(frozen=True)
class CertifiedROC:
    """False alarms against certified detection, for each of T thresholds and R radii.

    Attributes
    ----------
    taus : (T,) thresholds on the share, rising
    false_alarms : (T,) fraction of clean images that are flagged
    at : (R,) radii
    certified : (T, R) fraction of clean images that no attack of that size brings past the rule with a wrong class,
        but with probability ``miss``
    """

    taus: FloatArray
    false_alarms: FloatArray
    at: FloatArray
    certified: FloatArray


def certified_roc(
    votes: ArrayLike,
    n: int,
    counts: ArrayLike,
    labels: ArrayLike,
    at: ArrayLike,
    *,
    miss: float,
    sigma: float,
    norm: float,
    error: float,
) -> CertifiedROC:
    """Trade false alarms for certified detection, over every threshold that ``n`` draws tell apart.

    Parameters
    ----------
    votes : (K,) votes of clean images for the class that the protected network gives them, of ``n`` deployed draws
    n : draws of the deployed rule; the thresholds are 1 / n to 1
    counts, labels : (M, C) and (M,) as for :func:`simdnn.smoothing.radius.attack_radius`; a share of an image is known
        the better the more draws, so give more than ``n``
    at : (R,) radii
    miss : probability with which an attack may pass by luck of the draws
    sigma, norm, error : as for :func:`simdnn.smoothing.radius.attack_radius`

    Notes
    -----
    Each image's bounds hold for all thresholds at once, so that a threshold may be chosen from the curve without
    losing the certificate. Its false-alarm rate is then that of the images it was chosen on: promise a rate with
    :class:`simdnn.conformal.split.ConformalThreshold` on others.

    >>> curve = certified_roc([9, 10], 10, [[1000, 0]], [0], [0.2, 1.0], miss=0.05, sigma=0.25, norm=0.5, error=0.001)
    >>> curve.false_alarms[-2:].tolist(), curve.certified[-2:].tolist()
    ([0.0, 0.5], [[1.0, 1.0], [1.0, 1.0]])
    """
    clean = np.asarray(votes)
    if clean.ndim != 1 or not len(clean) or (clean < 0).any() or (clean > n).any():
        raise InputError(f"expected votes of at least one clean image, from 0 to {n} each")
    needed = np.arange(1, n + 1)
    taus: FloatArray = needed / n
    worst = worst_upper_bound(counts, labels, error)
    shares = [share_needed(tau, n, miss) for tau in taus.tolist()]
    return CertifiedROC(
        taus,
        (clean < needed[:, None]).mean(axis=1),
        np.atleast_1d(np.asarray(at, dtype=np.float64)),
        np.stack([certified_rates(distance(worst, s, sigma=sigma, norm=norm), at).rate for s in shares]),
    )
