"""Certified L2 radii from the vote shares of noisy draws.

Notation: ``p_c(x) = P[h(D x + e) = c]``, with ``e ~ N(0, sigma^2 I)``, is the *true share* of class c: the probability
with which the auxiliary network h predicts c for the reduced image ``D x`` under noise. L is the operator norm of D
(:mod:`simdnn.smoothing.operator_norm`). Radii are L2 norms of a change of x, for pixels in [0, 1]. A radius covers
every *shorter* change; a radius of 0 certifies nothing.

Sources: Cohen, Rosenfeld and Kolter, "Certified adversarial robustness via randomized smoothing", ICML 2019; Salman
and others, "Provably robust deep learning via adversarially trained smoothed classifiers", NeurIPS 2019.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from simdnn.arrays import FloatArray
from simdnn.errors import InputError
from simdnn.smoothing.bounds import lower_bound, worst_upper_bound


def largest_share(share: ArrayLike, change: ArrayLike, *, sigma: float, norm: float) -> FloatArray:
    """Upper bound of a true share after a change ``d`` of the image: ``Phi(Phi^-1(p) + L ||d|| / sigma)``.

    Salman and others (2019), lemma 2: ``Phi^-1(p_c)`` is Lipschitz with constant 1 / sigma in ``D x``, hence L / sigma
    in x. The bound is attained by a linear h. With ``-change`` it is the lower bound.

    Parameters
    ----------
    share : p_c(x), in [0, 1]
    change : ||d||, for pixels in [0, 1]
    sigma : standard deviation of the noise, > 0
    norm : operator norm L of D, > 0

    Returns
    -------
    Shares in [0, 1], in the broadcast shape of share and change.

    Raises
    ------
    InputError
        If sigma or the norm is outside its range; so do the other functions here.

    >>> round(float(largest_share(0.5, 0.5, sigma=0.25, norm=0.5)), 4)  # Phi(1)
    0.8413
    """
    _check_scale(sigma, norm)
    moved = ndtri(np.asarray(share, dtype=np.float64)) + np.asarray(change) * norm / sigma
    return np.asarray(ndtr(moved), dtype=np.float64)


def distance(start: ArrayLike, end: ArrayLike, *, sigma: float, norm: float) -> FloatArray:
    """Smallest L2 change of an image that can raise a true share from ``start`` to ``end``.

    The inverse of :func:`largest_share`, with the same ``sigma`` and ``norm``:
    ``(sigma / L) (Phi^-1(end) - Phi^-1(start))``, and 0 where ``end`` is not above ``start``. The result has the
    broadcast shape of ``start`` and ``end``, both in [0, 1].

    >>> float(distance(0.1, 0.9, sigma=0.25, norm=0.5).round(4)), float(distance(0.9, 0.1, sigma=0.25, norm=0.5))
    (1.2816, 0.0)
    """
    _check_scale(sigma, norm)
    low, high = np.broadcast_arrays(np.asarray(start, np.float64), np.asarray(end, np.float64))
    distances: FloatArray = np.zeros(low.shape)
    rising = high > low
    distances[rising] = sigma / norm * (ndtri(high[rising]) - ndtri(low[rising]))
    return distances


def attack_radius(
    counts: ArrayLike, labels: ArrayLike, share: float, *, sigma: float, norm: float, error: float
) -> FloatArray:
    """Radius within which no attack on a clean image gives a wrong class a true share of ``share``.

    For a benchmark, where the true class of a clean image is known: the smallest
    ``(sigma / L) (Phi^-1(share) - Phi^-1(upper_c))`` over the wrong classes c, where ``upper_c`` bounds the true share
    of c on the clean image.

    For the rule "accept the network's class if its share of n draws is at least tau" this means:

    - with ``share=tau``, the limit of infinitely many draws: within the radius, every attack that makes the network
      predict a wrong class has a true share below tau. With n draws it may still pass by chance, with a probability of
      up to about one half at the radius itself.
    - with ``share=share_needed(tau, n, miss)``, for n draws: every such attack passes with probability at most
      ``miss``, for each image submitted.

    Parameters
    ----------
    counts : (N, C) number of draws of each clean image classified as each class; other draws than the deployed rule's
    labels : (N,) index of the true class
    share : true share that an attack needs, in [0, 1); see above
    sigma, norm : as for :func:`largest_share`
    error : for each image, the radius is too large with at most this probability

    Returns
    -------
    (N,) radii, >= 0.

    Raises
    ------
    InputError
        If the share is outside its range, or as for :func:`simdnn.smoothing.bounds.worst_upper_bound`.

    Notes
    -----
    The error is that of the bounds of p_c(x), which do not depend on ``share``: radii for many thresholds hold
    together, or fail together.

    >>> attack_radius([[990, 10, 0]], [0], 0.7, sigma=0.25, norm=0.5, error=0.001).round(2).tolist()
    [1.24]
    """
    if not 0 <= share < 1:
        raise InputError(f"expected a share in [0, 1) that an attack needs; got {share}")
    return distance(worst_upper_bound(counts, labels, error), share, sigma=sigma, norm=norm)


def image_radius(votes: ArrayLike, n: int, *, sigma: float, norm: float, error: float) -> FloatArray:
    """Radius around an image *as received* within which the auxiliary network's majority vote stays the same.

    ``(sigma / L) Phi^-1(lower_c)``, and 0 where the lower bound of the share is at most one half. If the original of a
    received image lies within the radius, the auxiliary network predicts the same class for the original
    (``p_c > 1/2``). A wrong class then passes only if the auxiliary network misclassifies the original.

    Parameters
    ----------
    votes : votes for one class among ``n`` draws. The class must not be chosen by these draws: take the one that the
        protected network predicts
    n : number of draws
    sigma, norm : as for :func:`largest_share`
    error : for each image submitted, the radius is too large with at most this probability

    Returns
    -------
    Radii >= 0, in the shape of ``votes``.

    >>> image_radius([1000, 990, 510], 1000, sigma=0.25, norm=0.5, error=0.001).round(2).tolist()
    [1.23, 0.99, 0.0]
    """
    return distance(0.5, lower_bound(votes, n, error), sigma=sigma, norm=norm)


def _check_scale(sigma: float, norm: float) -> None:
    if not (0 < sigma < np.inf and 0 < norm < np.inf):
        raise InputError(
            f"expected a standard deviation and an operator norm above 0; got {sigma} and {norm}"
        )
