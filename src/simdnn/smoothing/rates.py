"""Certified rates over many images, by radius and by false-alarm rate."""

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
    """Share of images that are certified at each of R radii.

    Attributes
    ----------
    at : (R,) radii
    rate : (R,) share of images with a larger certified radius
    low, high : (R,) exact (Clopper-Pearson) confidence interval of that share
    """

    at: FloatArray
    rate: FloatArray
    low: FloatArray
    high: FloatArray


def certified_rates(radii: ArrayLike, at: ArrayLike, *, error: float = 0.05) -> CertifiedRates:
    """Share of images whose certified radius is larger than each given radius.

    Larger, not equal: an image with radius 0 is not certified at 0 either.

    Parameters
    ----------
    radii : (N,) certified radii, N >= 1
    at : (R,) radii at which the share is measured, >= 0
    error : the interval misses the true share with at most this probability, half of it on each side, for one radius.
        The error of the images' own radii comes on top: the share of *robust* images is at least ``low`` minus it.

    Raises
    ------
    InputError
        If there is no image, or a radius is negative.

    >>> certified_rates([0.0, 0.4, 0.8, 0.8], [0.0, 0.5]).rate.tolist()
    [0.75, 0.5]
    """
    certified, levels = np.asarray(radii, dtype=np.float64), np.atleast_1d(np.asarray(at, dtype=np.float64))
    if certified.ndim != 1 or not len(certified) or (certified < 0).any() or (levels < 0).any():
        raise InputError("expected radii of at least one image, and none below 0")
    k: IntArray = (certified[:, None] > levels).sum(axis=0)
    n = len(certified)
    return CertifiedRates(levels, k / n, lower_bound(k, n, error / 2), upper_bound(k, n, error / 2))


@dataclass(frozen=True)
class CertifiedROC:
    """False-alarm rate and certified detection rate, for each of T thresholds and R radii.

    Attributes
    ----------
    taus : (T,) thresholds on the vote share, ascending
    false_alarms : (T,) share of clean images that are flagged
    at : (R,) radii
    certified : (T, R) share of clean images for which every attack within the radius that is misclassified is also
        flagged, except with probability ``miss``
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
    """Compute false-alarm rate and certified detection rate for every threshold 1 / n, 2 / n, ..., 1.

    Parameters
    ----------
    votes : (K,) votes of clean images for the class that the protected network predicts, among ``n`` draws
    n : number of draws of the deployed rule
    counts, labels : (M, C) and (M,) as for :func:`simdnn.smoothing.radius.attack_radius`. More draws than ``n`` give
        tighter bounds
    at : (R,) radii
    miss : probability with which an attack may pass by chance of the draws
    sigma, norm, error : as for :func:`simdnn.smoothing.radius.attack_radius`

    Raises
    ------
    InputError
        If there are no clean images, or a number of votes is not in 0 to n; and as for ``attack_radius``.

    Notes
    -----
    The bounds of an image hold for all thresholds at once, so that a threshold may be chosen from the curve without
    losing the certificate. The false-alarm rates are those of the images in ``votes``, though: to guarantee a rate, use
    :class:`simdnn.conformal.split.ConformalThreshold` on other images.

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
