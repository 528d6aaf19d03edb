"""The ranges of Sim-DNN's parameters."""

from __future__ import annotations

from typing import get_args

import numpy as np

from simdnn.errors import InputError
from simdnn.paper.prototypes import SigmaKind

LARGEST = 1e100
"""Largest feature and largest ``m``: their squares stay finite."""

LEAST_ALPHA = 1e-9
"""Smallest false-alarm rate."""


def check_parameters(*, alpha: float, m: float, sigma: str, random_state: int) -> None:
    """Raise InputError if a parameter of :class:`simdnn.paper.estimator.SimDNN` is outside its range."""
    if sigma not in get_args(SigmaKind):
        raise InputError(f"sigma is 'shared', 'class' or 'prototype'; got {sigma!r}")
    if not LEAST_ALPHA <= alpha < 1:
        raise InputError(f"alpha is a false-alarm rate, expected between 0 and 1; got {alpha}")
    if not 0 <= m <= LARGEST:
        raise InputError(f"m is a number of deviations, expected 0 or more; got {m}")
    if np.asarray(random_state).dtype.kind not in "iu" or random_state < 0:
        raise InputError(f"random_state is a seed, expected a whole number from 0; got {random_state!r}")
