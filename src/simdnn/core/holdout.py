"""Which samples are held out of learning to calibrate the threshold."""

from __future__ import annotations

from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from simdnn.errors import InputError


def held_out(label: str, start: int, count: int, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Mark the samples ``start ... start + count - 1`` of a class that calibrate instead of teaching.

    In every ``round(1 / fraction)`` consecutive samples of a class one is drawn, so that the choice is stratified,
    does not look at the samples, and does not depend on how they arrive in batches. The first sample of a class is
    always learned.

    Parameters
    ----------
    label : the class
    start : how many of its samples came before
    count : how many there are now
    fraction : share to hold out, 0 or in (0, 0.5]
    seed : of the draw

    Returns
    -------
    (count,) True where held out.

    >>> int(held_out("cat", 0, 100, 0.2, seed=0).sum())
    20
    """
    if fraction == 0:
        return np.zeros(count, dtype=bool)
    if not 0 < fraction <= 0.5:
        raise InputError(f"the share to hold out for calibration is 0 or in (0, 0.5]; got {fraction}")
    size = round(1 / fraction)
    groups = range(start // size, (start + count + size - 1) // size)
    key = crc32(label.encode())
    drawn = [
        group * size + int(np.random.default_rng([seed, key, group]).integers(1 if group == 0 else 0, size))
        for group in groups
    ]
    return np.isin(np.arange(start, start + count), drawn)
