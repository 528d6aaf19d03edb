"""A witness: a second network, hard to move by small perturbations, whose prototypes must agree with what is said.

Features of an adversarially trained network cannot be moved far by a small change of the image. Where its prototypes
say that the image is nearer to another class than to the one that is answered, the answer is in doubt.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simdnn.core.equations import FloatArray

_TINY = 1e-9


def class_similarities(
    similarities: FloatArray, labels: NDArray[np.str_], classes: NDArray[np.str_]
) -> FloatArray:
    """Return the similarity to the most similar prototype of each class.

    Parameters
    ----------
    similarities : (N, M) to each prototype, eq. (10)
    labels : (M,) class of each prototype
    classes : (C,) classes; one without a prototype gets 0

    Returns
    -------
    (N, C)
    """
    best = np.zeros((len(similarities), len(classes)))
    for c, name in enumerate(classes):
        own = similarities[:, labels == name]
        if own.shape[1]:
            best[:, c] = own.max(axis=1)
    return best


def disagreement(similarities: FloatArray, answers: ArrayLike) -> FloatArray:
    """Return how much nearer the witness sees each image to another class than to the one answered.

    Parameters
    ----------
    similarities : (N, C) the witness's similarity to the nearest prototype of each class, eq. (10)
    answers : (N, A) classes answered, as columns of ``similarities``; -1 for one that the witness does not know

    Returns
    -------
    (N,): the logarithm of ``d^2(answer) / d^2(nearest other class)``, with the squared distances behind eq. (10),
    ``d^2 = 1 / S - 1`` in units of the variance; the largest over the answers. Positive where the witness would answer
    otherwise; 0 where it knows none of the answers.

    >>> disagreement(np.array([[0.5, 0.2], [0.5, 0.2]]), [[0], [1]]).round(3).tolist()
    [-1.386, 1.386]
    """
    inside = np.clip(similarities, _TINY, 1 - _TINY)
    log_distances = np.log(1 / inside - 1)
    given = np.asarray(answers)
    found = np.full(given.shape, -np.inf)
    for column, answer in enumerate(given.T):
        (rows,) = np.nonzero(answer >= 0)
        others = log_distances[rows].copy()
        others[np.arange(len(rows)), answer[rows]] = np.inf
        found[rows, column] = log_distances[rows, answer[rows]] - others.min(axis=1)
    worst: FloatArray = found.max(axis=1)
    return np.where(np.isfinite(worst), worst, 0.0)


def usual_classes(outputs: ArrayLike, labels: NDArray[np.str_], n: int) -> tuple[str, ...]:
    """Return what class of images each of a network's ``n`` outputs stands for.

    Parameters
    ----------
    outputs : (N,) the network's answers to clean images
    labels : (N,) their classes
    n : number of outputs

    Returns
    -------
    The class on which each output came most often; empty where it never came.

    >>> usual_classes([2, 2, 0], np.array(["cat", "cat", "dog"]), 3)
    ('dog', '', 'cat')
    """
    classes, columns = np.unique(labels, return_inverse=True)
    counts = np.zeros((n, len(classes)), dtype=np.int64)
    np.add.at(counts, (np.asarray(outputs), columns), 1)
    return tuple(str(classes[row.argmax()]) if row.any() else "" for row in counts)
