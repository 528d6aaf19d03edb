"""The inner loop of the learning procedure (eqs. 4, 5, 7 and 8), compiled by Numba.

:func:`simdnn.paper.learning.learn` calls it. Two distances are needed for every prototype: to the sample (eq. 7) and
to the mean of the class (eq. 8). The compiled loop computes both in one pass over the prototype's memory; NumPy would
need two. The compiler may reorder sums, to use vector instructions, fuse multiply and add, and multiply by a reciprocal
instead of dividing; no other rule of floating-point arithmetic is relaxed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba
import numpy as np

from simdnn.arrays import FloatArray, IntArray
from simdnn.paper import equations

State = tuple[int, int, float]
"""Number of prototypes, number of samples seen, and scatter of the samples about the mean of the class."""

TIE = 1e-9
"""Two squared distances that differ by a smaller share count as equal, so that rounding decides nothing."""

P = ParamSpec("P")
T = TypeVar("T")
_REORDERED: set[str] = {"reassoc", "contract", "arcp"}


def compiled(function: Callable[P, T]) -> Callable[P, T]:
    """Compile a function by Numba, cached on disk where a folder can be written, else for this process only."""
    try:
        dispatcher = numba.njit(cache=True, nogil=True, fastmath=_REORDERED)(function)
    except RuntimeError:  # Numba found no folder that it can write its cache to
        dispatcher = numba.njit(nogil=True, fastmath=_REORDERED)(function)
    return cast(Callable[P, T], dispatcher)


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
    """Learn samples in their order until the arrays of prototypes, changed in place, have no room for another.

    How many were learned follows from the number of samples seen, before and after.
    """
    known, count, class_scatter = state
    n = samples.shape[1]
    to_sample, to_mean = np.empty(len(vectors)), np.empty(len(vectors))
    for i in range(len(samples)):
        if known == len(vectors):
            break
        x = samples[i]
        # Eqs. (4) and (5): update mean and scatter of the class.
        count += 1
        sample_to_mean = 0.0
        for k in range(n):
            mean_k = update_mean(mean[k], x[k], count)
            mean[k] = mean_k
            sample_to_mean += (x[k] - mean_k) ** 2
        if count > 1:
            class_scatter += sample_to_mean * count / (count - 1)

        # Squared distances of the prototypes to the sample (eq. 7) and to the mean of the class (eq. 8).
        for j in range(known):
            sample_distance, mean_distance, vector = 0.0, 0.0, vectors[j]
            for k in range(n):
                p = vector[k]
                sample_distance += (p - x[k]) ** 2
                mean_distance += (p - mean[k]) ** 2
            to_sample[j], to_mean[j] = sample_distance, mean_distance
        nearest = nearest_prototype(to_sample[:known]) if known else 0
        founds = (
            known == 0
            or (
                to_sample[nearest] > 0.0  # a sample that coincides with a prototype joins it
                and founds_prototype(sample_to_mean, to_mean[:known].min(), to_mean[:known].max())
            )
        )

        if founds:
            vectors[known], exemplar_vectors[known] = x, x
            support[known], scatter[known], exemplars[known] = 1, 0.0, indices[i]
            known += 1
            continue

        # Line 11: the nearest prototype moves towards the sample.
        before, vector, exemplar = support[nearest], vectors[nearest], exemplar_vectors[nearest]
        members = before + 1
        to_sample_now, to_exemplar = 0.0, 0.0
        for k in range(n):
            p = update_prototype(vector[k], before, x[k])
            vector[k] = p
            to_sample_now += (x[k] - p) ** 2
            to_exemplar += (exemplar[k] - p) ** 2
        support[nearest] = members
        scatter[nearest] += to_sample_now * members / (members - 1)
        if to_sample_now < to_exemplar * (
            1.0 - TIE
        ):  # of two samples equally near, the earlier stays the exemplar
            exemplar_vectors[nearest], exemplars[nearest] = x, indices[i]
    return known, count, class_scatter


learn_samples = compiled(_learn_samples)
