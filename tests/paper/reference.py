"""Equations of the paper that explain and that no code of the product runs; `simdnn.paper.equations` has the others."""

from __future__ import annotations

from math import lgamma, log, pi

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from simdnn.arrays import FloatArray
from simdnn.paper.equations import similarity, squared_distances


def nearest_label(x: ArrayLike, prototypes: ArrayLike, labels: ArrayLike) -> NDArray[np.generic]:
    """Eq. (1): label of the nearest prototype.

    Parameters
    ----------
    x : (N, n) samples
    prototypes : (M, n) prototypes of all classes
    labels : (M,) class of each prototype

    Returns
    -------
    (N,) labels. A tie goes to the first prototype.

    Notes
    -----
    Erratum: the print minimises over samples as well; the label is that of the minimising prototype. The public xDNN
    code takes the farthest one.

    >>> nearest_label([[0.0], [0.9]], [[0.1], [1.0]], ["cat", "dog"]).tolist()
    ['cat', 'dog']
    """
    nearest: NDArray[np.generic] = np.asarray(labels)[squared_distances(x, prototypes).argmin(axis=1)]
    return nearest


def similarity_to_mean(x: ArrayLike, mean: ArrayLike, variance: float) -> FloatArray:
    """Eq. (2): Cauchy similarity of samples to the mean of their class.

    Parameters
    ----------
    x : (N, n) samples
    mean : (n,) mean of the class, eq. 4
    variance : scalar variance of the class, eq. 5: the mean squared distance to the mean, >= 0

    Returns
    -------
    (N,) similarities in (0, 1]; 1 at the mean.

    Notes
    -----
    Erratum: "sigma is the variance" and ``||sigma||^2`` divide by the variance, not by its square; only then does
    eq. 2 follow from eq. 3. With variance 0 the limit is taken: 1 at the mean, 0 elsewhere.

    >>> similarity_to_mean([[3.0, 4.0]], [0.0, 0.0], 25.0).tolist()
    [0.5]
    """
    found: FloatArray = similarity(np.asarray(x, dtype=np.float64), np.atleast_2d(mean), variance)[:, 0]
    return found


def density(x: ArrayLike, mean: ArrayLike, scalar_product: float) -> FloatArray:
    """Eq. (3): recursive density of samples, as printed.

    Parameters
    ----------
    x : (N, n) samples
    mean : (n,) mean, eq. 4
    scalar_product : mean squared norm, eq. 5

    Returns
    -------
    (N,) densities in (0, 1].

    Notes
    -----
    Erratum: the print adds the variance ``Sigma - ||mu||^2`` where eq. 2 divides by it. Both fall with the distance to
    the mean, so eq. 8 chooses the same prototypes with either.

    >>> density([[1.0]], [1.0], 1.0).tolist()
    [1.0]
    """
    distance = squared_distances(x, np.atleast_2d(mean))[:, 0]
    found: FloatArray = 1.0 / (1.0 + distance + variance(mean, scalar_product))
    return found


def update_scalar_product(scalar_product: float, x: ArrayLike, i: int) -> float:
    """Eq. (5): mean squared norm of the first ``i`` samples from that of the first ``i - 1`` and the i-th, (n,).

    >>> update_scalar_product(0.0, [3.0, 4.0], 1)
    25.0
    """
    sample = np.asarray(x, dtype=np.float64)
    return float((i - 1) / i * scalar_product + sample @ sample / i)


def variance(mean: ArrayLike, scalar_product: float) -> float:
    """Return the scalar variance ``Sigma - ||mu||^2`` of eqs. (3) and (5), never negative.

    Notes
    -----
    The difference cancels badly for a tight class far from the origin; :class:`simdnn.paper.moments.Moments` keeps
    the sum of squared distances to the mean instead and derives ``Sigma``.

    >>> variance([1.0], 5.0)
    4.0
    """
    centre = np.asarray(mean, dtype=np.float64)
    return max(0.0, float(scalar_product - centre @ centre))


def log_density(x: ArrayLike, prototypes: ArrayLike, support: ArrayLike, variance: float) -> FloatArray:
    """Eq. (6), corrected: logarithm of the multimodal Cauchy density that integrates to 1 in n dimensions.

    Parameters
    ----------
    x : (N, n) samples
    prototypes : (M, n) prototypes
    support : (M,) number of samples behind each prototype
    variance : scalar variance of the kernels, > 0

    Returns
    -------
    (N,) natural logarithms of the density, per unit of volume.

    Notes
    -----
    Erratum: the kernel of the print, ``S`` itself, has no finite integral for n >= 2. This is the Cauchy kernel
    ``Gamma((n+1)/2) / (pi^((n+1)/2) sigma^n) (1 + d^2/sigma^2)^(-(n+1)/2)`` of Angelov and Gu, *Empirical Approach to
    Machine Learning* (2019).

    >>> round(float(np.exp(log_density([[0.0]], [[0.0]], [7], 1.0))[0]), 6)  # 1 / pi
    0.31831
    """
    points = np.asarray(prototypes, dtype=np.float64)
    n = points.shape[1]
    weights = np.asarray(support, dtype=np.float64)
    half = (n + 1) / 2
    constant = lgamma(half) - half * log(pi) - n / 2 * log(variance)
    kernels = -half * np.log1p(squared_distances(x, points) / variance)
    mixture: FloatArray = logsumexp(kernels, axis=1, b=weights / weights.sum())
    log_densities: FloatArray = constant + mixture
    return log_densities
