"""How much a resize can stretch a change of an image: its exact L2 operator norm.

An auxiliary network that looks at ``D(x)``, a smaller copy of the image, sees a change ``d`` as ``D d`` with
``||D d|| <= L ||d||``. The smaller L, the larger every radius of :mod:`simdnn.smoothing.radius`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simdnn.arrays import FloatArray
from simdnn.errors import InputError

Resize = Callable[[FloatArray], FloatArray]
"""Resizes one channel, (H, W) to (h, w), without rounding; centre crops may be part of it."""

TOLERANCE = 1e-5
"""Largest deviation from a linear, separable map: room for single precision, not for rounding to 8 bits."""


def mean_norm(k: int) -> float:
    """Operator norm of the mean over k x k pixels that do not overlap: 1 / k.

    By Cauchy and Schwarz, ``(sum of k^2 values / k^2)^2 <= (sum of their squares) / k^2``, with equality where the
    values of each block are equal.

    >>> mean_norm(2)
    0.5
    """
    if k < 1:
        raise InputError(f"expected blocks of at least 1 x 1 pixels; got k = {k}")
    return 1 / k


def operator_norm(resize: Resize, height: int, width: int) -> float:
    """Operator norm of a separable resize: product of the largest singular values of its two 1-D matrices.

    The 2-D map is the Kronecker product of both matrices, the singular values of which are the products of theirs. The
    channels of an image are resized each on its own, which leaves the norm as it is; so does a centre crop after it,
    if ``resize`` includes the crop. A centre crop alone has norm 1.

    Parameters
    ----------
    resize : the very function that resizes the images
    height, width : of the images before

    Returns
    -------
    Norm, > 0; as exact as the function's own arithmetic: about 7 digits in single precision.

    Raises
    ------
    InputError
        As for :func:`axis_matrices`.

    >>> round(operator_norm(lambda x: (x[::2] + x[1::2]) / 2, 6, 3), 6)  # halves the height alone: sqrt(1/2)
    0.707107
    """
    vertical, horizontal = axis_matrices(resize, height, width)
    return float(np.linalg.norm(vertical, 2) * np.linalg.norm(horizontal, 2))


def axis_matrices(resize: Resize, height: int, width: int) -> tuple[FloatArray, FloatArray]:
    """Return the 1-D matrices V, (h, H), and U, (w, W), of a separable resize ``x -> V x U^T``.

    Column i of V is what becomes of an image that is 1 in row i and 0 elsewhere; U likewise from columns.

    Raises
    ------
    InputError
        If the function does not keep constant images constant, or differs from ``V x U^T`` on a random image, as one
        that rounds or clips does. Leave clipping of the resized values out: it only shrinks differences. Rounding
        does not, and no norm bounds it.
    """
    rows = [resize(np.outer(impulse, np.ones(width))) for impulse in np.eye(height)]
    columns = [resize(np.outer(np.ones(height), impulse)) for impulse in np.eye(width)]
    vertical: FloatArray = np.stack([row.mean(axis=1) for row in rows], axis=1)
    horizontal: FloatArray = np.stack([column.mean(axis=0) for column in columns], axis=1)
    image = np.random.default_rng(0).random((height, width))
    for tried in (np.ones((height, width)), image):
        deviation = float(np.abs(resize(tried) - vertical @ tried @ horizontal.T).max())
        if deviation > TOLERANCE:
            raise InputError(
                "expected a linear resize, each axis on its own, that keeps constant images constant; got one that "
                f"deviates by {deviation:.2g}; resize without rounding, clipping or padding"
            )
    return vertical, horizontal
