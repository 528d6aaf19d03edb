"""Exact one-sided bounds of a probability from ``k`` events in ``n`` draws.

Source: Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
Biometrika 26, 1934.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainccinv, betaincinv

from simdnn.arrays import FloatArray, IntArray
from simdnn.errors import InputError


def lower_bound(k: ArrayLike, n: ArrayLike, error: float) -> FloatArray:
    """Lower Clopper-Pearson bound: the p at which ``k`` or more of ``n`` draws have probability ``error``.

    Parameters
    ----------
    k, n : events and draws, integers with 0 <= k <= n and n >= 1, of shapes that broadcast
    error : probability, at most, that the bound is above the true p; in (0, 1)

    Returns
    -------
    Bounds in [0, 1) in the shape of k and n together; 0 where k is 0.

    Raises
    ------
    InputError
        If a count or the error is outside its range.

    >>> lower_bound([0, 5, 10], 10, 0.05).round(4).tolist()
    [0.0, 0.2224, 0.7411]
    """
    events, draws = _counts(k, n, error)
    bound = betaincinv(np.maximum(events, 1), draws - events + 1, error)
    return np.asarray(np.where(events == 0, 0.0, bound), dtype=np.float64)


def upper_bound(k: ArrayLike, n: ArrayLike, error: float) -> FloatArray:
    """Upper Clopper-Pearson bound: the p at which ``k`` or fewer of ``n`` draws have probability ``error``.

    Parameters, errors and shape as for :func:`lower_bound`.

    Returns
    -------
    Bounds in (0, 1]; 1 where k is n.

    >>> upper_bound([0, 5, 10], 10, 0.05).round(4).tolist()
    [0.2589, 0.7776, 1.0]
    """
    events, draws = _counts(k, n, error)
    bound = betainccinv(events + 1, np.maximum(draws - events, 1), error)
    return np.asarray(np.where(events == draws, 1.0, bound), dtype=np.float64)


def worst_upper_bound(counts: ArrayLike, labels: ArrayLike, error: float) -> FloatArray:
    """Largest upper bound among the wrong classes of each image.

    Parameters
    ----------
    counts : (N, C) draws of each image that fell to each of C >= 2 classes
    labels : (N,) index of the right class, in [0, C)
    error : for each image, probability, at most, that *any* wrong class has a larger share than is returned

    Returns
    -------
    (N,) bounds in (0, 1].

    Raises
    ------
    InputError
        If shapes do not fit, a label is outside its range, or an image has no draws.

    Notes
    -----
    The error is divided by the C - 1 wrong classes (Bonferroni); the right class is known, so no error goes to it.

    >>> worst_upper_bound([[8, 2, 0]], [0], 0.1).round(4).tolist() == upper_bound([2], 10, 0.05).round(4).tolist()
    True
    """
    drawn, right = np.asarray(counts), np.asarray(labels)
    if drawn.ndim != 2 or drawn.shape[1] < 2 or right.shape != drawn.shape[:1]:
        raise InputError(
            "expected counts (N, C) of at least two classes and labels (N,); "
            f"got {drawn.shape} and {right.shape}"
        )
    n_classes = drawn.shape[1]
    if ((right < 0) | (right >= n_classes)).any():
        raise InputError(f"expected labels from 0 to {n_classes - 1}; got {right.min()} to {right.max()}")
    bounds = upper_bound(drawn, drawn.sum(axis=1, keepdims=True), error / (n_classes - 1))
    bounds[np.arange(len(drawn)), right] = 0.0
    worst: FloatArray = bounds.max(axis=1)
    return worst


def _counts(k: ArrayLike, n: ArrayLike, error: float) -> tuple[IntArray, IntArray]:
    """Check counts and error, and broadcast the counts."""
    events, draws = np.broadcast_arrays(np.asarray(k), np.asarray(n))
    if not (np.issubdtype(events.dtype, np.integer) and np.issubdtype(draws.dtype, np.integer)):
        raise InputError(f"expected whole numbers of events and draws; got {events.dtype} and {draws.dtype}")
    if (draws < 1).any() or (events < 0).any() or (events > draws).any():
        raise InputError("expected at least one draw, and from 0 to as many events as draws")
    if not 0 < error < 1:
        raise InputError(f"error is a probability, expected between 0 and 1; got {error}")
    return events.astype(np.int64), draws.astype(np.int64)
