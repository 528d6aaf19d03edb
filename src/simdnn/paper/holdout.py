"""Choose the samples that are held out of learning and calibrate the threshold."""

from __future__ import annotations

from math import ceil
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from simdnn.errors import InputError


def held_out(label: str, start: int, count: int, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Choose which of the samples ``start ... start + count - 1`` of a class are held out of learning.

    One of every ``1 / fraction`` consecutive samples of the class is drawn. So the choice is stratified, depends on
    positions alone, and is the same however the samples are split into batches. The first sample of a class is
    always learned.

    Parameters
    ----------
    label : the class
    start : number of samples of the class in earlier batches
    count : number of samples of the class in this batch
    fraction : share to hold out, 0 or in (0, 0.5]
    seed : seed of the draw

    Returns
    -------
    (count,) True where held out.

    Raises
    ------
    InputError
        If the fraction is outside its range.

    >>> int(held_out("cat", 0, 100, 0.2, seed=0).sum())
    20
    """
    if fraction == 0:
        return np.zeros(count, dtype=bool)
    if not 0 < fraction <= 0.5:
        raise InputError(f"the share to hold out for calibration is 0 or in (0, 0.5]; got {fraction}")
    key = crc32(label.encode(errors="surrogateescape"))  # a folder's name need not be Unicode
    drawn = []
    for group in range(int(start * fraction), int((start + count) * fraction) + 1):
        first, end = ceil(group / fraction - 1e-9), ceil((group + 1) / fraction - 1e-9)
        draw = np.random.default_rng([seed, key, group])
        drawn.append(int(draw.integers(max(first, 1), end)))
    return np.isin(np.arange(start, start + count), drawn)


def calibration_mask(labels: NDArray[np.str_], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Choose a stratified share of samples with (N,) labels to hold out; (N,) True where held out.

    ``fraction``, ``seed`` and errors as for :func:`held_out`.
    """
    mask = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        (rows,) = np.nonzero(labels == label)
        mask[rows] = held_out(str(label), 0, len(rows), fraction, seed)
    return mask
