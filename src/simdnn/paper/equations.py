"""Equations 1 to 14 of the paper, in its order, one pure function each.

"The paper" is Soares, Angelov and Suri, *Similarity-based Deep Neural Network to Detect Imperceptible Adversarial
Attacks*. Where its print had to be corrected the function says so under "Erratum"; ``docs/paper.md`` lists all of
them. Scores are similarities: high is clean. Everything is float64.
"""

from __future__ import annotations

from math import lgamma, log, pi

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from simdnn.arrays import FloatArray, IntArray


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
    nearest: NDArray[np.generic] = np.asarray(labels)[nearest_prototype(x, prototypes)]
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
    return similarity(x, np.atleast_2d(mean), variance)[:, 0]


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
    return 1.0 / (1.0 + distance + variance(mean, scalar_product))


def update_mean(mean: ArrayLike, x: ArrayLike, i: int) -> FloatArray:
    """Eq. (4): mean of the first ``i`` samples from that of the first ``i - 1`` and the i-th, both (n,).

    >>> update_mean([1.0], [4.0], 3).tolist()
    [2.0]
    """
    return (i - 1) / i * np.asarray(mean, dtype=np.float64) + np.asarray(x, dtype=np.float64) / i


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
    The difference cancels badly for a tight class far from the origin; :class:`simdnn.paper.learning.Moments` keeps
    the sum of squared distances to the mean instead and derives ``Sigma``.

    >>> variance([1.0], 5.0)
    4.0
    """
    centre = np.asarray(mean, dtype=np.float64)
    return max(0.0, float(scalar_product - centre @ centre))


def class_posterior(
    similarities: ArrayLike, support: ArrayLike, classes: ArrayLike, n_classes: int
) -> FloatArray:
    """Eq. (6): probability of each class, its share of the sum of ``N_i S_i``.

    Parameters
    ----------
    similarities : (N, M) similarity of each sample to each prototype, eq. 10
    support : (M,) number of samples behind each prototype, ``N_i``
    classes : (M,) class index of each prototype, in [0, n_classes)
    n_classes : number of classes

    Returns
    -------
    (N, n_classes) probabilities; each row sums to 1.

    Notes
    -----
    Erratum: the integral in the print's denominator diverges for n >= 2. As a share of the total the class posterior
    does not need it; the density itself is :func:`log_density`.

    >>> class_posterior([[0.5, 0.25]], [1, 2], [0, 1], 2).tolist()
    [[0.5, 0.5]]
    """
    weighted = np.asarray(similarities, dtype=np.float64) * np.asarray(support, dtype=np.float64)
    mass: FloatArray = weighted @ np.eye(n_classes)[np.asarray(classes)]
    return _shares(mass)


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


def nearest_prototype(x: ArrayLike, prototypes: ArrayLike) -> IntArray:
    """Eq. (7): index of the nearest of the (M, n) prototypes for each of the (N, n) samples.

    >>> nearest_prototype([[0.2], [0.8]], [[0.0], [1.0]]).tolist()
    [0, 1]
    """
    index: IntArray = squared_distances(x, prototypes).argmin(axis=1)
    return index


def founds_prototype(similarity: float, prototype_similarities: ArrayLike) -> bool:
    """Eq. (8): whether a sample becomes a prototype.

    Parameters
    ----------
    similarity : similarity of the sample to the mean of its class, eq. 2, the mean having taken it in
    prototype_similarities : (M,) similarities of the prototypes of the class to the same mean

    Returns
    -------
    True where the sample is at least as similar as the most similar prototype, or no more than the least similar.

    >>> founds_prototype(0.5, [0.4, 0.6]), founds_prototype(0.7, [0.4, 0.6])
    (False, True)
    """
    others = np.asarray(prototype_similarities, dtype=np.float64)
    return bool(similarity >= others.max() or similarity <= others.min())


def update_prototype(prototype: ArrayLike, support: int, x: ArrayLike) -> FloatArray:
    """Line 11 of the learning procedure: the nearest prototype moves towards the sample that joins it.

    Parameters
    ----------
    prototype : (n,) prototype
    support : number of samples behind it before, ``N_j``
    x : (n,) sample

    Returns
    -------
    (n,) mean of the ``N_j + 1`` samples.

    Notes
    -----
    Erratum: the print weights both terms with ``N_j / (N_j + 1)``; the sample's weight is ``1 / (N_j + 1)``.

    >>> update_prototype([0.0], 3, [1.0]).tolist()
    [0.25]
    """
    old = np.asarray(prototype, dtype=np.float64)
    return np.asarray(old + (np.asarray(x, dtype=np.float64) - old) / (support + 1), dtype=np.float64)


def relative_similarity(similarities: ArrayLike) -> FloatArray:
    """Eq. (9): lambda, each prototype's share of the similarity of a sample to all prototypes.

    Parameters
    ----------
    similarities : (N, M) similarities, eq. 10

    Returns
    -------
    (N, M) shares; each row sums to 1. A row of zeros becomes the uniform 1 / M.

    >>> relative_similarity([[0.75, 0.25]]).tolist()
    [[0.75, 0.25]]
    """
    return _shares(np.asarray(similarities, dtype=np.float64))


def similarity(x: ArrayLike, prototypes: ArrayLike, variance: ArrayLike) -> FloatArray:
    """Eq. (10): Cauchy similarity of each sample to each prototype.

    Parameters
    ----------
    x : (N, n) samples
    prototypes : (M, n) prototypes
    variance : scalar, or (M,) for one per prototype; >= 0

    Returns
    -------
    (N, M) similarities in [0, 1]; 1 at the prototype. With variance 0 the limit is taken: 1 there, 0 elsewhere.

    >>> similarity([[0.0], [1.0]], [[0.0]], 1.0).ravel().tolist()
    [1.0, 0.5]
    """
    distances = squared_distances(x, prototypes)
    spread = np.broadcast_to(np.asarray(variance, dtype=np.float64), distances.shape)
    ratio = np.divide(distances, spread, out=np.where(distances > 0, np.inf, 0.0), where=spread > 0)
    return np.asarray(1.0 / (1.0 + ratio), dtype=np.float64)


def update_running_mean(mean: float, value: float, i: int) -> float:
    """Eq. (11): mean of the first ``i`` values of the winning lambda from that of the first ``i - 1`` and the i-th.

    >>> update_running_mean(1.0, 4.0, 3)
    2.0
    """
    return (i - 1) / i * mean + value / i


def is_attack(score: float, mean: float, deviation: float, m: float) -> bool:
    """Eq. (12), the m-sigma rule: a possible attack where lambda is more than ``m`` deviations under its mean.

    >>> is_attack(0.3, 0.9, 0.1, 3.0), is_attack(0.7, 0.9, 0.1, 3.0)
    (True, False)
    """
    return score < mean - m * deviation


def label(shares: ArrayLike, labels: ArrayLike) -> NDArray[np.generic]:
    """Eq. (13): class of the prototype with the largest lambda.

    Parameters
    ----------
    shares : (N, M) lambda, eq. 9
    labels : (M,) class of each prototype

    Returns
    -------
    (N,) labels. A tie goes to the first prototype.

    >>> label([[0.75, 0.25]], ["cat", "dog"]).tolist()
    ['cat']
    """
    winner: NDArray[np.generic] = np.asarray(labels)[np.asarray(shares).argmax(axis=1)]
    return winner


def judged_rightly(attacked: ArrayLike, flagged: ArrayLike, label_correct: ArrayLike) -> NDArray[np.bool_]:
    """Eq. (14), image by image: whether each is judged rightly.

    An attacked image is judged rightly if it is flagged or still labelled correctly; a clean one if it is labelled
    correctly and not flagged.

    Parameters
    ----------
    attacked : (N,) bool, or one bool for all: whether the image was attacked
    flagged : (N,) bool, whether it was flagged as a possible attack
    label_correct : (N,) bool, whether its label is the true one

    Returns
    -------
    (N,) bool.

    >>> judged_rightly(attacked=[True, True, False, False], flagged=[True, False, True, False], label_correct=True)
    array([ True,  True, False,  True])
    """
    attack, flag, correct = np.broadcast_arrays(
        *(np.asarray(given, dtype=bool) for given in (attacked, flagged, label_correct))
    )
    right: NDArray[np.bool_] = np.where(attack, flag | correct, ~flag & correct)
    return right


def detection_rate(attacked: ArrayLike, flagged: ArrayLike, label_correct: ArrayLike) -> float:
    """Eq. (14): share of images judged rightly, in per cent; parameters as of `judged_rightly`.

    Raises
    ------
    ZeroDivisionError
        If there is no image at all.

    >>> detection_rate(attacked=[True, False], flagged=[True, True], label_correct=[False, True])
    50.0
    """
    right = np.atleast_1d(judged_rightly(attacked, flagged, label_correct))
    return 100.0 * int(right.sum()) / len(right)


def squared_distances(x: ArrayLike, y: ArrayLike) -> FloatArray:
    """Return the (N, M) squared Euclidean distances of (N, n) and (M, n) points, without cancellation."""
    points, others = (np.atleast_2d(np.asarray(a, dtype=np.float64)) for a in (x, y))
    return cdist(points, others, "sqeuclidean")


def _shares(values: FloatArray) -> FloatArray:
    """Divide each row by its sum; a row of zeros becomes uniform."""
    total: FloatArray = values.sum(axis=1, keepdims=True)
    shares: FloatArray = np.full_like(values, 1.0 / values.shape[1])
    return np.divide(values, total, out=shares, where=total > 0)
