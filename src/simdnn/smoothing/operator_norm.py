"""The exact L2 operator norm of a resize: the largest factor by which it enlarges a change of the image.

An auxiliary network takes ``D x``, a smaller copy of the image. A change ``d`` of the image becomes ``D d``, with
``||D d|| <= L ||d||``. The smaller L, the larger every radius of :mod:`simdnn.smoothing.radius`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simdnn.arrays import FloatArray
from simdnn.errors import InputError

Resize = Callable[[FloatArray], FloatArray]
"""Resizes one channel, (H, W) to (h, w), without rounding; it may include a centre crop."""

TOLERANCE = 1e-5
"""Largest deviation from a linear, separable map: enough for float32 arithmetic, too little for rounding to 8 bits."""


def mean_norm(k: int) -> float:
    """Operator norm of the mean over blocks of k x k pixels that do not overlap: 1 / k.

    By the Cauchy-Schwarz inequality ``(sum of k^2 values / k^2)^2 <= (sum of their squares) / k^2``, with equality for
    equal values within each block. InputError if k is below 1.

    >>> mean_norm(2)
    0.5
    """
    if k < 1:
        raise InputError(f"expected blocks of at least 1 x 1 pixels; got k = {k}")
    return 1 / k


def operator_norm(resize: Resize, height: int, width: int) -> float:
    """Operator norm of a separable resize: product of the largest singular values of its two 1-D matrices.

    The 2-D map is the Kronecker product of both matrices, so its singular values are the products of theirs. Each
    channel is resized separately, so the norm of a colour image is that of one channel. A centre crop after the resize
    belongs into ``resize``; a centre crop alone has norm 1.

    Parameters
    ----------
    resize : the function that resizes the images
    height, width : size of the images before it

    Returns
    -------
    Norm, > 0; as exact as the function's arithmetic: about 7 digits in float32.

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

    Column i of V is the result for an image that is 1 in row i and 0 elsewhere; U likewise, from columns.

    Raises
    ------
    InputError
        If the function does not keep constant images constant, or differs from ``V x U^T`` on a random image, because
        it rounds or clips. Clipping may be left out of ``resize``, since it only shrinks differences; rounding
        may not, since no norm bounds its effect.
    """
    rows = [resize(np.outer(impulse, np.ones(width))) for impulse in np.eye(height)]
    columns = [resize(np.outer(np.ones(height), impulse)) for impulse in np.eye(width)]
    vertical: FloatArray = np.stack([row.mean(axis=1) for row in rows], axis=1)
    horizontal: FloatArray = np.stack([column.mean(axis=0) for column in columns], axis=1)
    image = np.random.default_rng(0).random((height, width))
    for test_image in (np.ones((height, width)), image):
        deviation = float(np.abs(resize(test_image) - vertical @ test_image @ horizontal.T).max())
        if deviation > TOLERANCE:
            raise InputError(
                "expected a linear resize, each axis on its own, that keeps constant images constant; got one that "
                f"deviates by {deviation:.2g}; resize without rounding, clipping or padding"
            )
    return vertical, horizontal
