"""The learning procedure of the paper's section II.E: one pass over the samples of a class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import FloatArray, IntArray
from simdnn.paper.moments import Moments

BLOCK = 64
"""Samples that the compiled loop gets at a time, converted to float64. The result does not depend on it."""

_GROWING = ("vectors", "support", "scatter", "exemplars")


@dataclass
class ClassModel:
    """The moments and the prototypes of one class.

    Attributes
    ----------
    moments : mean and variance of the samples of the class, eqs. (4) and (5)
    vectors : (M, n) prototypes
    support : (M,) samples behind each, ``N_j``
    scatter : (M,) sum of squared distances of those samples to their mean, the prototype
    exemplars : (M,) index of each prototype's exemplar, the training sample shown for it, among all samples learned
    exemplar_vectors : (M, n) features of the exemplars, float32 while all samples are, which is exact
    serials : (M,) number of each prototype within its class, never reused
    next_serial : number that the next prototype gets
    """

    moments: Moments
    vectors: FloatArray
    support: IntArray
    scatter: FloatArray
    exemplars: IntArray
    exemplar_vectors: FloatArray
    serials: IntArray
    next_serial: int = 0

    @classmethod
    def empty(cls, n_features: int) -> ClassModel:
        """Return a class without samples or prototypes."""
        no_integers = np.empty(0, dtype=np.int64)
        no_vectors = np.empty((0, n_features))
        return cls(
            Moments(np.zeros(n_features)),
            no_vectors,
            no_integers,
            np.empty(0),
            no_integers.copy(),
            no_vectors.astype(np.float32),
            no_integers.copy(),
        )

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, rows: IntArray | NDArray[np.bool_]) -> ClassModel:
        """Return the class with only the chosen prototypes, by indices or by a mask (M,)."""
        return ClassModel(
            self.moments,
            self.vectors[rows],
            self.support[rows],
            self.scatter[rows],
            self.exemplars[rows],
            self.exemplar_vectors[rows],
            self.serials[rows],
            self.next_serial,
        )

    def append(self, other: ClassModel) -> list[int]:
        """Append the prototypes of another class; return their new serials. The moments stay as they are."""
        serials = np.arange(self.next_serial, self.next_serial + len(other))
        self.vectors = np.vstack([self.vectors, other.vectors])
        self.support = np.append(self.support, other.support)
        self.scatter = np.append(self.scatter, other.scatter)
        self.exemplars = np.append(self.exemplars, other.exemplars)
        self.exemplar_vectors = np.vstack([self.exemplar_vectors, other.exemplar_vectors])
        self.serials = np.append(self.serials, serials)
        self.next_serial += len(other)
        return [int(serial) for serial in serials]

    def insert(self, other: ClassModel) -> None:
        """Insert prototypes of this class that were taken out before, each in its place by its serial."""
        rows = np.searchsorted(self.serials, other.serials)
        self.vectors = np.insert(self.vectors, rows, other.vectors, axis=0)
        self.support = np.insert(self.support, rows, other.support)
        self.scatter = np.insert(self.scatter, rows, other.scatter)
        self.exemplars = np.insert(self.exemplars, rows, other.exemplars)
        self.exemplar_vectors = np.insert(self.exemplar_vectors, rows, other.exemplar_vectors, axis=0)
        self.serials = np.insert(self.serials, rows, other.serials)
        self.next_serial = max(self.next_serial, int(other.serials.max()) + 1)


def learning_order(label: str, rows: IntArray, start: int, seed: int) -> IntArray:
    """Shuffle (K,) rows of a class, reproducibly; ``start`` is the number of its samples in earlier batches."""
    return np.random.default_rng([seed, crc32(label.encode(errors="surrogateescape")), start]).permutation(
        rows
    )


def learn(
    model: ClassModel,
    samples: NDArray[np.floating],
    indices: IntArray,
    rows: IntArray | None = None,
    scaling: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
) -> ClassModel:
    """Learn samples of one class in their order.

    Several calls give exactly the result of one call with all samples.

    Parameters
    ----------
    model : the class so far; changed in place
    samples : (N, n) features, each scaled to [0, 1]
    indices : (K,) index of each sample to learn, kept for the exemplars
    rows : (K,) rows of ``samples`` to learn, in this order; by default all. They are copied a block at a time, to
        save memory
    scaling : scales such a block where ``samples`` are not scaled yet

    Returns
    -------
    The same ``model``.

    Notes
    -----
    A sample that coincides with a prototype joins it. By the letter of eq. (8) it would become another prototype, and
    a class of identical samples would have as many prototypes as samples.
    """
    from simdnn.paper.kernel import learn_samples  # Numba takes a second to import

    rows = np.arange(len(samples)) if rows is None else rows
    room, known = model, len(model)
    for start in range(0, len(rows), BLOCK):
        block = samples[rows[start : start + BLOCK]]
        block = block if scaling is None else scaling(block)
        own = np.ascontiguousarray(indices[start : start + BLOCK], dtype=np.int64)
        x = np.ascontiguousarray(block, dtype=np.float64)
        learned = 0
        while learned < len(x):
            room = _with_room(model, known, block.dtype)
            before = model.moments.count
            known, model.moments.count, model.moments.scatter = learn_samples(
                x[learned:],
                own[learned:],
                (known, before, model.moments.scatter),
                model.moments.mean,
                room.vectors,
                room.support,
                room.scatter,
                room.exemplars,
                room.exemplar_vectors,
            )
            learned += model.moments.count - before
            model.vectors, model.exemplar_vectors = room.vectors[:known], room.exemplar_vectors[:known]
            model.support, model.scatter = room.support[:known], room.scatter[:known]
            model.exemplars = room.exemplars[:known]
    new = np.arange(model.next_serial, model.next_serial + known - len(model.serials))
    model.serials = np.append(model.serials, new)
    model.next_serial += len(new)
    return model


def _with_room(model: ClassModel, known: int, dtype: np.dtype[Any]) -> ClassModel:
    """Return the class with arrays that have room for one more prototype, or for some more where they must grow."""
    kept = np.result_type(model.exemplar_vectors, np.float32, dtype)
    arrays: dict[str, Any] = {
        name: _longer(getattr(model, name), known, getattr(model, name).dtype) for name in _GROWING
    }
    arrays["exemplar_vectors"] = _longer(model.exemplar_vectors, known, kept)
    room = min(map(len, arrays.values()))  # the compiled loop trusts that all are of one length
    arrays = {name: array[:room] for name, array in arrays.items()}
    return ClassModel(moments=model.moments, serials=model.serials, **arrays)


def _longer(array: NDArray[Any], known: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an array that begins with the ``known`` rows of another and is longer: the one behind it, or a copy.

    It grows by an eighth at a time: a class that is learned in thousands of pieces is copied a few times, and what is
    not needed in the end is little.
    """
    behind = array.base
    if (
        isinstance(behind, np.ndarray)
        and (behind.dtype, behind.shape[1:]) == (dtype, array.shape[1:])
        and len(behind) > known
        and behind.ctypes.data == array.ctypes.data
    ):
        return behind
    longer = np.empty((known + 2 + known // 8, *array.shape[1:]), dtype=dtype)
    longer[:known] = array
    return longer
