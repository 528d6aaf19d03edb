"""Exact one-sided confidence bounds of a probability, from ``k`` events in ``n`` draws.

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
    error : the bound exceeds the true p with at most this probability; in (0, 1)

    Returns
    -------
    Bounds in [0, 1), in the broadcast shape of k and n; 0 where k is 0.

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

    Parameters, shape and errors as for :func:`lower_bound`; here the bound is below the true p with probability at
    most ``error``.

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
    """Upper bound of the largest share of a wrong class, for each image.

    Parameters
    ----------
    counts : (N, C) number of draws of each image classified as each of C >= 2 classes
    labels : (N,) index of the true class, in [0, C)
    error : for each image, *any* wrong class has a larger share than the bound with at most this probability

    Returns
    -------
    (N,) bounds in (0, 1].

    Raises
    ------
    InputError
        If the shapes do not match, a label is outside its range, or an image has no draws.

    Notes
    -----
    The error is divided among the C - 1 wrong classes (Bonferroni).

    >>> worst_upper_bound([[8, 2, 0]], [0], 0.1).round(4).tolist() == upper_bound([2], 10, 0.05).round(4).tolist()
    True
    """
    drawn, true = np.asarray(counts), np.asarray(labels)
    if drawn.ndim != 2 or drawn.shape[1] < 2 or true.shape != drawn.shape[:1]:
        raise InputError(
            f"expected counts (N, C) of at least two classes and labels (N,); got {drawn.shape} and {true.shape}"
        )
    n_classes = drawn.shape[1]
    if ((true < 0) | (true >= n_classes)).any():
        raise InputError(f"expected labels from 0 to {n_classes - 1}; got {true.min()} to {true.max()}")
    bounds = upper_bound(drawn, drawn.sum(axis=1, keepdims=True), error / (n_classes - 1))
    bounds[np.arange(len(drawn)), true] = 0.0
    worst: FloatArray = bounds.max(axis=1)
    return worst


def _counts(k: ArrayLike, n: ArrayLike, error: float) -> tuple[IntArray, IntArray]:
    """Check counts and error; return the counts broadcast, as int64."""
    events, draws = np.broadcast_arrays(np.asarray(k), np.asarray(n))
    if not (np.issubdtype(events.dtype, np.integer) and np.issubdtype(draws.dtype, np.integer)):
        raise InputError(f"expected whole numbers of events and draws; got {events.dtype} and {draws.dtype}")
    if (draws < 1).any() or (events < 0).any() or (events > draws).any():
        raise InputError("expected at least one draw, and from 0 to as many events as draws")
    if not 0 < error < 1:
        raise InputError(f"error is a probability, expected between 0 and 1; got {error}")
    return events.astype(np.int64), draws.astype(np.int64)
