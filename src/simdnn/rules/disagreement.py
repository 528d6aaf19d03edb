"""A witness: a second network, hard to move by small perturbations, which must agree with what is answered.

The answers of an adversarially trained network cannot be moved far by a small change of the image. Where it gives
another class more than the one that is answered, the answer is in doubt.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from simdnn.arrays import FloatArray


def class_logits(logits: ArrayLike, usual: Sequence[str], classes: Sequence[str]) -> FloatArray:
    """Return the largest logit among the outputs that stand for each class.

    Parameters
    ----------
    logits : (N, K)
    usual : (K,) class that each output stands for, see :func:`usual_classes`
    classes : (C,) classes; each must be that of an output

    Returns
    -------
    (N, C)

    >>> class_logits([[1.0, 5.0, 2.0]], ["cat", "dog", "cat"], ["cat", "dog"]).tolist()
    [[2.0, 5.0]]
    """
    given, of = np.asarray(logits, dtype=np.float64), np.asarray(usual)
    found: FloatArray = np.stack([given[:, of == name].max(axis=1) for name in classes], axis=1)
    return found


def disagreement(logits: FloatArray, answers: ArrayLike) -> FloatArray:
    """Return how much more probable the witness finds another class than the one answered.

    In probabilities rather than log-odds: a clean image that the witness knows little about then weighs little.

    Parameters
    ----------
    logits : (N, C) the witness's logits of each class, C >= 2
    answers : (N, A) classes answered, as columns of ``logits``; -1 for one that the witness does not know

    Returns
    -------
    (N,): differences of probabilities, -1 to 1, the largest over the answers. Positive where the witness would answer
    otherwise; 0 where it knows none of the answers.

    >>> disagreement(np.log([[0.75, 0.25], [0.75, 0.25]]), [[0], [1]]).round(6).tolist()
    [-0.5, 0.5]
    """
    given, shares = np.asarray(answers), softmax(logits, axis=1)
    found = np.full(given.shape, -np.inf)
    for column, answer in enumerate(given.T):
        (rows,) = np.nonzero(answer >= 0)
        others = shares[rows]
        others[np.arange(len(rows)), answer[rows]] = -np.inf
        found[rows, column] = others.max(axis=1) - shares[rows, answer[rows]]
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
