"""Arrays of NumPy or of PyTorch: what lets each score be written once, for verdicts and for gradients."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

Array: TypeAlias = Any
"""A NumPy array, or a PyTorch tensor where gradients are needed or the array is on a graphics card."""


def namespace(array: Array) -> Any:
    """Return the functions of an array's library under the names of the Python array API standard."""
    return array_namespace(array)


def double(array: Array) -> Array:
    """Return an array in double precision; in single precision on Apple's graphics cards, which have no other."""
    xp = array_namespace(array)
    single = str(device(array)).startswith("mps")
    return xp.astype(array, xp.float32 if single else xp.float64, copy=False)


def like(values: Any, reference: Array) -> Array:
    """Return floating-point constants in the library, on the device and in the precision of a reference.

    >>> like([1, 2], np.zeros(3, dtype=np.float32)).dtype
    dtype('float32')
    """
    if isinstance(reference, np.ndarray):
        return np.asarray(values, dtype=reference.dtype)
    xp = array_namespace(reference)
    return xp.asarray(np.array(values, dtype=np.float64), device=device(reference)).to(reference.dtype)


def index_like(values: Any, reference: Array) -> Array:
    """Return whole-number constants in the library and on the device of a reference."""
    if isinstance(reference, np.ndarray):
        return np.asarray(values, dtype=np.int64)
    xp = array_namespace(reference)
    return xp.asarray(np.array(values, dtype=np.int64), device=device(reference))


def at(values: Array, columns: Array) -> Array:
    """Return from each row of (N, K) values the one in its column (N,)."""
    return namespace(values).take_along_axis(values, columns[:, None], axis=1)[:, 0]


def best_other(values: Array, columns: Array) -> Array:
    """Return the largest value of each row of (N, K) outside its column (N,); -inf where there is no other.

    >>> best_other(np.array([[3.0, 1.0, 2.0]]), np.array([0])).tolist()
    [2.0]
    """
    xp = namespace(values)
    own = xp.arange(values.shape[1], device=device(values))[None, :] == columns[:, None]
    return xp.max(xp.where(own, -xp.inf, values), axis=1)
