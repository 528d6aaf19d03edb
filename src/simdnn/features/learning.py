"""Learning a guard from shards of features: two readings, one for the range of each feature and one to learn."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from math import ceil
from os import cpu_count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import IntArray
from simdnn.errors import InputError
from simdnn.features.guard import FeatureGuard
from simdnn.features.shards import Shards
from simdnn.paper.holdout import held_out
from simdnn.paper.parameters import check_parameters
from simdnn.paper.prototypes import PrototypeSet, SigmaKind
from simdnn.paper.scaling import FeatureRange
from simdnn.progress import Progress

CALIBRATING = 5000
"""Rows, at most, that calibrate: their features are kept in memory until the end, and more would add little."""

_ROWS = 64  # of which the range is taken at a time, by each thread; they stay in the processor's cache


def learn_features(
    shards: Shards,
    *,
    alpha: float = 0.05,
    sigma: SigmaKind = "shared",
    calibration: float = 0.2,
    seed: int = 0,
    n_jobs: int | None = -1,
    progress: Progress | None = None,
) -> FeatureGuard:
    """Learn prototypes of every class and calibrate the similarity rule.

    The result is that of :meth:`simdnn.paper.model.SimilarityModel.learn` on the rows that do not calibrate.

    Parameters
    ----------
    shards : features with labels
    alpha : false-alarm rate that the threshold promises
    sigma : which variance eq. (10) divides by, see :class:`simdnn.paper.prototypes.PrototypeSet`
    calibration : share of each class that is held out of learning to calibrate; less where that is more than
        `CALIBRATING` rows in all
    seed : of what is held out
    n_jobs : classes learned in parallel, as in joblib
    progress : called with (rows read, rows to read)

    Raises
    ------
    InputError
        If there are no labels, too few rows calibrate, or features are missing or infinite.
    """
    check_parameters(alpha=alpha, m=3.0, sigma=sigma, random_state=seed)
    if shards.labels is None:
        raise InputError(f"expected a label for each row of {shards.path}, to learn from; got none")
    names, codes = np.unique(shards.labels, return_inverse=True)
    if (names == "").any():
        raise InputError(f"expected a label for each row of {shards.path}, got an empty one")
    out = _calibrating(names, codes, min(calibration, CALIBRATING / shards.rows), seed)
    needed = ceil(1 / alpha - 1e-9) - 1
    if out.sum() < needed:
        raise InputError(
            f"expected {needed} rows that calibrate a false-alarm rate of {alpha}, got {out.sum()} of the "
            f"{shards.rows} in {shards.path}; give more rows, a larger share, or a larger alpha"
        )
    done = 0

    def read(rows: int) -> None:
        nonlocal done
        done += rows
        if progress is not None:
            progress(done, 2 * shards.rows)

    scaling = FeatureRange(*_range(shards, out, read))
    prototypes = PrototypeSet(shards.width, sigma)
    held: list[NDArray[Any]] = []
    for block in shards.blocks():
        stop = block.start + len(block.features)
        mine, apart = codes[block.start : stop], out[block.start : stop]
        held.append(block.features[apart])
        rows = {str(names[code]): own for code, own in _by_class(mine, np.flatnonzero(~apart))}
        prototypes.learn(block.features, rows, first=block.start, n_jobs=n_jobs, scaling=scaling)
        read(len(block.features))

    learned = list(prototypes.classes.values())
    exemplars = shards.ids_of(np.concatenate([model.exemplars for model in learned]))
    for model in learned:
        model.exemplar_vectors = model.exemplar_vectors[:0].copy()  # room for what comes now
    guard = FeatureGuard(
        classes=tuple(prototypes.classes),
        sizes=np.array([len(model) for model in learned]),
        parts=[model.vectors for model in learned],
        variances=prototypes.variances,
        support=prototypes.support,
        serials=np.concatenate([model.serials for model in learned]),
        exemplars=tuple(exemplars),
        scaling=scaling,
        alpha=alpha,
        sigma=sigma,
        seed=seed,
        data=str(shards.path),
        learned=int((~out).sum()),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    guard.calibrate(held)
    return guard


def _calibrating(names: NDArray[np.str_], codes: IntArray, share: float, seed: int) -> NDArray[np.bool_]:
    """Return (N,) True for the rows that are held out of learning."""
    out = np.zeros(len(codes), dtype=bool)
    for code, rows in _by_class(codes, np.arange(len(codes))):
        out[rows] = held_out(str(names[code]), 0, len(rows), share, seed)
    return out


def _by_class(codes: IntArray, rows: IntArray) -> Iterator[tuple[int, IntArray]]:
    """Yield each class with its rows, in their order, of those given."""
    order = rows[np.argsort(codes[rows], kind="stable")]
    sorted_codes = codes[order]
    edges = [0, *(np.flatnonzero(np.diff(sorted_codes)) + 1).tolist(), len(order)]
    for start, stop in pairwise(edges):
        if stop > start:
            yield int(sorted_codes[start]), order[start:stop]


def _range(shards: Shards, out: NDArray[np.bool_], read: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return (n,) the smallest and the largest value of each feature among the rows that are learned."""
    low: NDArray[Any] | None = None
    high: NDArray[Any] | None = None
    with ThreadPoolExecutor(cpu_count()) as pool:
        for block in shards.blocks():
            learn = ~out[block.start : block.start + len(block.features)]

            def extremes(
                start: int, features: NDArray[Any] = block.features, learn: NDArray[np.bool_] = learn
            ) -> tuple[NDArray[Any], NDArray[Any]]:
                some, mine = features[start : start + _ROWS], learn[start : start + _ROWS]
                some = some if mine.all() else some[mine]
                return some.min(axis=0), some.max(axis=0)

            starts = [i for i in range(0, len(learn), _ROWS) if learn[i : i + _ROWS].any()]
            for least, most in pool.map(extremes, starts):
                low = least if low is None else np.minimum(low, least)
                high = most if high is None else np.maximum(high, most)
            read(len(block.features))
    if low is None or high is None:
        raise InputError(f"expected rows to learn in {shards.path}, got none besides those that calibrate")
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise InputError(
            f"expected finite features in {shards.path}, got missing or infinite ones; leave these rows out"
        )
    return low, high
