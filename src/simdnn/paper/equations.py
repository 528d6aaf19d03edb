"""The equations of the paper that this package computes, one function each, in the paper's order.

"The paper" is Soares, Angelov and Suri, *Similarity-based Deep Neural Network to Detect Imperceptible Adversarial
Attacks*. A function that departs from the printed equation says so under "Erratum". ``docs/paper.md`` lists all
equations, including those that need no code. All values are float64. Eqs. (9) and (10), which attacks differentiate,
also take PyTorch tensors (:mod:`simdnn.arrays`).
"""

from __future__ import annotations

import numpy as np
from array_api_compat import is_torch_array
from numpy.typing import ArrayLike, NDArray

from simdnn.arrays import Array, FloatArray, double, like, namespace

_IN_CACHE = 1 << 15
"""Numbers that a processor's cache holds while distances are computed."""


def update_mean(mean: float, x: float, i: int) -> float:
    """Eq. (4): mean of the first ``i`` samples, from the mean of the first ``i - 1`` and the i-th.

    For one feature, or for arrays (n,).

    >>> update_mean(1.0, 4.0, 3)
    2.0
    """
    return mean + (x - mean) / i


def class_posterior(
    similarities: ArrayLike, support: ArrayLike, classes: ArrayLike, n_classes: int
) -> FloatArray:
    """Eq. (6): posterior probability of each class, its share of the sum of ``N_i S_i`` over all prototypes.

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
    Erratum: the integral in the printed denominator diverges for n >= 2. The share of the sum does not need it.

    >>> class_posterior([[0.5, 0.25]], [1, 2], [0, 1], 2).tolist()
    [[0.5, 0.5]]
    """
    weighted = np.asarray(similarities, dtype=np.float64) * np.asarray(support, dtype=np.float64)
    mass: FloatArray = weighted @ np.eye(n_classes)[np.asarray(classes)]
    posterior: FloatArray = _shares(mass)
    return posterior


def nearest_prototype(distances: FloatArray) -> int:
    """Eq. (7): index of the nearest prototype, from its (M,) squared distances to a sample.

    >>> nearest_prototype(np.array([0.4, 0.1, 0.9]))
    1
    """
    return int(distances.argmin())


def founds_prototype(distance: float, least: float, greatest: float) -> bool:
    """Eq. (8): whether a sample becomes a new prototype of its class.

    The paper's condition: the sample is at least as similar to the mean of the class as the most similar prototype, or
    at most as similar as the least similar one. Since the similarity of eq. (2) falls with the distance, the same is
    stated here in squared distances to the mean of the class, updated by the sample first.

    Parameters
    ----------
    distance : squared distance of the sample to the mean
    least, greatest : smallest and largest squared distance of the prototypes of the class to the mean

    >>> founds_prototype(0.5, 0.2, 0.9), founds_prototype(0.1, 0.2, 0.9), founds_prototype(1.0, 0.2, 0.9)
    (False, True, True)
    """
    return distance <= least or distance >= greatest


def update_prototype(prototype: float, support: int, x: float) -> float:
    """Line 11 of the learning procedure: the nearest prototype becomes the mean of its samples and the new one.

    For one feature, or for arrays (n,).

    Parameters
    ----------
    prototype : mean of its ``N_j`` samples
    support : ``N_j``
    x : the new sample

    Returns
    -------
    The mean of the ``N_j + 1`` samples.

    Notes
    -----
    Erratum: the paper prints the weight ``N_j / (N_j + 1)`` twice; that of the sample is ``1 / (N_j + 1)``.

    >>> update_prototype(0.0, 3, 1.0)
    0.25
    """
    return prototype + (x - prototype) / (support + 1)


def relative_similarity(similarities: Array) -> Array:
    """Eq. (9): lambda, the similarity of a sample to each prototype as a share of the sum over all prototypes.

    Parameters
    ----------
    similarities : (N, M) similarities, eq. 10

    Returns
    -------
    (N, M) shares; each row sums to 1. A row of zeros becomes the uniform 1 / M.

    >>> relative_similarity([[0.75, 0.25]]).tolist()
    [[0.75, 0.25]]
    """
    return _shares(
        similarities if is_torch_array(similarities) else np.asarray(similarities, dtype=np.float64)
    )


def similarity(x: Array, prototypes: ArrayLike, variance: ArrayLike) -> Array:
    """Eq. (10): Cauchy similarity of each sample to each prototype.

    Parameters
    ----------
    x : (N, n) samples
    prototypes : (M, n) prototypes
    variance : scalar, or (M,) for one per prototype; >= 0

    Returns
    -------
    (N, M) similarities in [0, 1]; 1 at the prototype. For variance 0 it is the limit: 1 at the prototype, else 0.

    >>> similarity([[0.0], [1.0]], [[0.0]], 1.0).ravel().tolist()
    [1.0, 0.5]
    """
    distances = squared_distances(x, prototypes)
    xp, spread = namespace(distances), like(variance, distances)
    ratio = xp.where(
        spread > 0,
        distances / xp.where(spread > 0, spread, 1.0),
        xp.where(distances > 0, xp.inf, like(0.0, distances)),
    )
    return 1.0 / (1.0 + ratio)


def update_running_mean(mean: float, value: float, i: int) -> float:
    """Eq. (11): mean of the first ``i`` largest lambdas, from the mean of the first ``i - 1`` and the i-th.

    >>> update_running_mean(1.0, 4.0, 3)
    2.0
    """
    return (i - 1) / i * mean + value / i


def is_attack(score: float, mean: float, deviation: float, m: float) -> bool:
    """Eq. (12), the m-sigma rule: whether lambda is more than ``m`` standard deviations below its running mean.

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
        *(np.asarray(values, dtype=bool) for values in (attacked, flagged, label_correct))
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


def squared_distances(x: Array, y: ArrayLike) -> Array:
    """Return (N, M) squared Euclidean distances of (N, n) and (M, n) points, computed without cancellation."""
    if is_torch_array(x):
        points = double(x)
        return ((points[:, None] - like(y, points)) ** 2).sum(-1)
    points, others = (np.atleast_2d(np.asarray(a, dtype=np.float64)) for a in (x, y))
    distances = np.empty((len(points), len(others)))
    step = max(1, _IN_CACHE // max(1, others.shape[1]))
    difference = np.empty((min(step, len(others)), others.shape[1]))
    for first in range(0, len(others), step):
        some = others[first : first + step]
        for i, point in enumerate(points):
            np.subtract(some, point, out=difference[: len(some)])
            d = difference[: len(some)]
            distances[i, first : first + step] = np.einsum("jk,jk->j", d, d)
    return distances


def _shares(values: Array) -> Array:
    """Divide each row of (N, M) by its sum; a row of zeros becomes uniform."""
    xp = namespace(values)
    total = xp.sum(values, axis=1)[:, None]
    return xp.where(total > 0, values / xp.where(total > 0, total, 1.0), 1.0 / values.shape[1])
