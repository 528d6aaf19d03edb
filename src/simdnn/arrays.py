"""Array functions for NumPy and PyTorch alike, so that each score is written once, for verdicts and for gradients."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

Array: TypeAlias = Any
"""A NumPy array, or a PyTorch tensor where gradients are needed or the data is on a GPU."""


def namespace(array: Array) -> Any:
    """Return an array's library, with function names of the Python array API standard, which are NumPy's own."""
    return np if isinstance(array, (np.ndarray, np.generic)) else array_namespace(array)


def double(array: Array) -> Array:
    """Convert an array to float64; to float32 on Apple's GPUs (MPS), which have no float64."""
    if isinstance(array, np.ndarray):
        return array.astype(np.float64, copy=False)
    xp = array_namespace(array)
    single = str(device(array)).startswith("mps")
    return xp.astype(array, xp.float32 if single else xp.float64, copy=False)


def like(values: Any, reference: Array) -> Array:
    """Convert floating-point constants to the library, device and precision of a reference array.

    >>> like([1, 2], np.zeros(3, dtype=np.float32)).dtype
    dtype('float32')
    """
    if isinstance(reference, np.ndarray):
        return np.asarray(values, dtype=reference.dtype)
    xp = array_namespace(reference)
    return xp.asarray(np.array(values, dtype=np.float64), device=device(reference)).to(reference.dtype)


def index_like(values: Any, reference: Array) -> Array:
    """Convert integer constants to int64, in the library and on the device of a reference array."""
    if isinstance(reference, np.ndarray):
        return np.asarray(values, dtype=np.int64)
    xp = array_namespace(reference)
    return xp.asarray(np.array(values, dtype=np.int64), device=device(reference))


def at(values: Array, columns: Array) -> Array:
    """Return (N,) one value from each row of (N, K) ``values``: the one in its column (N,)."""
    return values[namespace(values).arange(values.shape[0], device=device(values)), columns]


def best_other(values: Array, columns: Array) -> Array:
    """Return (N,) the largest value of each row of (N, K), its column (N,) left out; -inf if K is 1.

    >>> best_other(np.array([[3.0, 1.0, 2.0]]), np.array([0])).tolist()
    [2.0]
    """
    xp = namespace(values)
    left_out = xp.arange(values.shape[1], device=device(values))[None, :] == columns[:, None]
    return xp.max(xp.where(left_out, -xp.inf, values), axis=1)
