"""The inner loop of the learning procedure, compiled by Numba; :mod:`simdnn.paper.learning` explains and calls it.

Each sample is compared with every prototype twice (eqs. 7 and 8); both distances come from one pass over the memory
of the prototype, which is what a plain NumPy loop cannot do. Sums may be reassociated, so that they use vector
instructions; nothing else of floating-point arithmetic is relaxed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba
import numpy as np

from simdnn.arrays import FloatArray, IntArray
from simdnn.paper import equations

State = tuple[int, int, float]  # prototypes, samples seen, scatter about the mean

TIE = 1e-9
"""Relative difference of squared distances below which the choice of an exemplar would be left to rounding."""

P = ParamSpec("P")
T = TypeVar("T")
_REORDERED: set[str] = {"reassoc", "contract"}


def compiled(function: Callable[P, T]) -> Callable[P, T]:
    """Compile by Numba: once per machine, or once per process where neither the package nor a home can be written."""
    try:
        made = numba.njit(cache=True, nogil=True, fastmath=_REORDERED)(function)
    except RuntimeError:  # Numba found no folder for what it compiled
        made = numba.njit(nogil=True, fastmath=_REORDERED)(function)
    return cast(Callable[P, T], made)


update_mean = compiled(equations.update_mean)
nearest_prototype = compiled(equations.nearest_prototype)
founds_prototype = compiled(equations.founds_prototype)
update_prototype = compiled(equations.update_prototype)


def _learn_samples(
    samples: FloatArray,
    indices: IntArray,
    state: State,
    mean: FloatArray,
    vectors: FloatArray,
    support: IntArray,
    scatter: FloatArray,
    exemplars: IntArray,
    exemplar_vectors: FloatArray,
) -> State:
    known, count, spread = state
    n = samples.shape[1]
    to_sample, to_mean = np.empty(len(vectors)), np.empty(len(vectors))
    for i in range(len(samples)):
        x = samples[i]
        # Eqs. (4) and (5): the moments take the sample in.
        count += 1
        own = 0.0
        for k in range(n):
            mean[k] = update_mean(mean[k], x[k], count)
            own += (x[k] - mean[k]) ** 2
        if count > 1:
            spread += own * count / (count - 1)

        # Distances of the prototypes to the sample (eq. 7) and to the mean (eq. 8; similarity falls with distance).
        for j in range(known):
            sample_distance, mean_distance = 0.0, 0.0
            for k in range(n):
                p = vectors[j, k]
                sample_distance += (p - x[k]) ** 2
                mean_distance += (p - mean[k]) ** 2
            to_sample[j], to_mean[j] = sample_distance, mean_distance
        nearest = nearest_prototype(to_sample[:known]) if known else 0
        founds = (
            known == 0
            or (
                to_sample[nearest] > 0.0  # a sample that coincides with a prototype joins it
                and founds_prototype(own, to_mean[:known].min(), to_mean[:known].max())
            )
        )

        if founds:
            vectors[known], exemplar_vectors[known] = x, x
            support[known], scatter[known], exemplars[known] = 1, 0.0, indices[i]
            known += 1
            continue

        # Line 11: the nearest prototype moves towards the sample.
        members = support[nearest] + 1
        after, stale = 0.0, 0.0
        for k in range(n):
            vectors[nearest, k] = update_prototype(vectors[nearest, k], support[nearest], x[k])
            after += (x[k] - vectors[nearest, k]) ** 2
            stale += (exemplar_vectors[nearest, k] - vectors[nearest, k]) ** 2
        support[nearest] = members
        scatter[nearest] += after * members / (members - 1)
        if after < stale * (1.0 - TIE):  # of two members, both equally near, the earlier stays
            exemplar_vectors[nearest], exemplars[nearest] = x, indices[i]
    return known, count, spread


learn_samples = compiled(_learn_samples)
