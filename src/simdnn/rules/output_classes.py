"""The classes that a network's outputs stand for, learned from clean images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def output_classes(predictions: ArrayLike, labels: NDArray[Any], outputs: int) -> tuple[str, ...]:
    """Return the class that each output of a network stands for.

    Parameters
    ----------
    predictions : (N,) the network's outputs for clean images
    labels : (N,) true classes of the images
    outputs : number of the network's outputs

    Returns
    -------
    For each output, the most frequent class of the images for which it was predicted; empty if there are none.

    >>> output_classes([2, 2, 0], np.array(["cat", "cat", "dog"]), 3)
    ('dog', '', 'cat')
    """
    classes, columns = np.unique(labels, return_inverse=True)
    counts = np.zeros((outputs, len(classes)), dtype=np.int64)
    np.add.at(counts, (np.asarray(predictions), columns), 1)
    return tuple(str(classes[row.argmax()]) if row.any() else "" for row in counts)
