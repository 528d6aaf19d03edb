"""How far an attack must go: certified L2 radii from the shares of noisy draws.

Setting: an auxiliary network h looks at ``D(x)`` under noise; ``p_c(x) = P[h(D(x) + e) = c]`` with
``e ~ N(0, sigma^2 I)`` is the *true share* of class c, and L is the operator norm of D
(:mod:`simdnn.smoothing.operator_norm`). Radii are L2 norms of a change of x, in pixel values from 0 to 1, and hold for
every change that is *shorter* than the radius; 0 certifies nothing.

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
    """Largest true share of a class after a change: ``Phi(Phi^-1(p) + L ||d|| / sigma)``.

    Salman and others (2019), lemma 2: ``Phi^-1(p_c)`` is Lipschitz with constant 1 / sigma in D(x), hence L / sigma in
    x. A linear h reaches it. The smallest share is the same with ``-change``.

    Parameters
    ----------
    share : p_c(x), in [0, 1]
    change : ||d||, in pixel values from 0 to 1
    sigma : standard deviation of the noise on D(x), > 0
    norm : operator norm L of D, > 0

    Returns
    -------
    Shares in [0, 1], of the shape of share and change together.

    >>> round(float(largest_share(0.5, 0.5, sigma=0.25, norm=0.5)), 4)  # Phi(1)
    0.8413
    """
    _check_scale(sigma, norm)
    moved = ndtri(np.asarray(share, dtype=np.float64)) + np.asarray(change) * norm / sigma
    return np.asarray(ndtr(moved), dtype=np.float64)


def distance(start: ArrayLike, end: ArrayLike, *, sigma: float, norm: float) -> FloatArray:
    """Return how far an image must change for a share of ``start`` to become ``end``: the inverse of the above.

    ``(sigma / L) (Phi^-1(end) - Phi^-1(start))``, and 0 where ``end`` is not above ``start``. Parameters as for
    :func:`largest_share`.

    >>> float(distance(0.1, 0.9, sigma=0.25, norm=0.5).round(4)), float(distance(0.9, 0.1, sigma=0.25, norm=0.5))
    (1.2816, 0.0)
    """
    _check_scale(sigma, norm)
    low, high = np.broadcast_arrays(np.asarray(start, np.float64), np.asarray(end, np.float64))
    far: FloatArray = np.zeros(low.shape)
    up = high > low
    far[up] = sigma / norm * (ndtri(high[up]) - ndtri(low[up]))
    return far


def attack_radius(
    counts: ArrayLike, labels: ArrayLike, share: float, *, sigma: float, norm: float, error: float
) -> FloatArray:
    """Radius below which no attack on a clean image reaches a true share of ``share`` for any wrong class.

    The certificate for a benchmark, where the right class of a clean image is known: the smallest
    ``(sigma / L) (Phi^-1(share) - Phi^-1(upper_c))`` over the wrong classes c.

    What it says of the rule "accept the network's class if its share of n draws is at least tau":

    - with ``share=tau`` it is about true shares, as if n were infinite: every attack within the radius that ends in
      a wrong class has a true share below tau. It may still pass by luck of its n draws, at most about every second
      time right at the radius.
    - with ``share=share_needed(tau, n, miss)`` the binomial error of the n draws is kept: every such attack passes
      with probability at most ``miss``, each image that is submitted counting once.

    Parameters
    ----------
    counts : (N, C) draws of each clean image that fell to each class; the draws are not those of the deployed rule
    labels : (N,) index of the right class
    share : true share that an attack needs, in [0, 1); see above
    sigma, norm : as for :func:`largest_share`
    error : for each image, probability, at most, that its radius is too large

    Returns
    -------
    (N,) radii, >= 0.

    Raises
    ------
    InputError
        If the share is outside its range, or as for :func:`simdnn.smoothing.bounds.worst_upper_bound`.

    Notes
    -----
    The protected network gives each attacked image one class, so that there is one share to reach and not C - 1. The
    error is that of the bounds of p_c(x), hence common to all shares: radii for many thresholds fail together.

    >>> attack_radius([[990, 10, 0]], [0], 0.7, sigma=0.25, norm=0.5, error=0.001).round(2).tolist()
    [1.24]
    """
    if not 0 <= share < 1:
        raise InputError(f"expected a share in [0, 1) that an attack needs; got {share}")
    return distance(worst_upper_bound(counts, labels, error), share, sigma=sigma, norm=norm)


def image_radius(votes: ArrayLike, n: int, *, sigma: float, norm: float, error: float) -> FloatArray:
    """Radius around an image *as received* within which the auxiliary network's majority is one class.

    ``(sigma / L) Phi^-1(lower_c)``, and 0 where the lower bound of the share is not above one half. If the original of
    the image was closer than that, the auxiliary network gives the original the same class (``p_c > 1/2``): then only
    its own mistake on the clean image can let a wrong class through.

    Parameters
    ----------
    votes : votes for the class among ``n`` draws; the class must not be chosen by looking at these draws: take that
        which the protected network gives
    n : draws
    sigma, norm : as for :func:`largest_share`
    error : for each image that is submitted, probability, at most, that its radius is too large

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
