"""The learning procedure of section II.E: one pass over the samples of a class, in their order."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import FloatArray, IntArray
from simdnn.paper.moments import Moments

BLOCK = 64
"""Samples converted to float64 and handed to the compiled loop at a time. The result does not depend on it."""


@dataclass
class ClassModel:
    """What one class has learned: its moments and its prototypes.

    Attributes
    ----------
    moments : mean and variance of the samples of the class, eqs. (4) and (5)
    vectors : (M, n) prototypes
    support : (M,) samples behind each, ``N_j``
    scatter : (M,) sum of squared distances of those samples to their mean, the prototype
    exemplars : (M,) index, over all samples that the estimator was given, of the sample that stands for each
    exemplar_vectors : (M, n) features of the exemplars
    serials : (M,) number of each prototype within its class, never used twice
    next_serial : number of the next one
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
        """Return a class that has seen nothing yet."""
        none = np.empty(0, dtype=np.int64)
        no_vectors = np.empty((0, n_features))
        return cls(
            Moments(np.zeros(n_features)),
            no_vectors,
            none,
            np.empty(0),
            none.copy(),
            no_vectors.copy(),
            none.copy(),
        )

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, rows: IntArray | NDArray[np.bool_]) -> ClassModel:
        """Return the class with only the given prototypes."""
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
        """Take over the prototypes of another class, under new serials, which are returned; moments stay."""
        serials = np.arange(self.next_serial, self.next_serial + len(other))
        self.vectors = np.vstack([self.vectors, other.vectors])
        self.support = np.append(self.support, other.support)
        self.scatter = np.append(self.scatter, other.scatter)
        self.exemplars = np.append(self.exemplars, other.exemplars)
        self.exemplar_vectors = np.vstack([self.exemplar_vectors, other.exemplar_vectors])
        self.serials = np.append(self.serials, serials)
        self.next_serial += len(other)
        return [int(serial) for serial in serials]


def learning_order(label: str, rows: IntArray, start: int, seed: int) -> IntArray:
    """Shuffle the rows of a class of which ``start`` samples came before; the same for the same seed."""
    return np.random.default_rng([seed, crc32(label.encode()), start]).permutation(rows)


def learn(
    model: ClassModel, samples: NDArray[np.floating], indices: IntArray, rows: IntArray | None = None
) -> ClassModel:
    """Let a class learn samples in their order.

    Learning in several calls gives, to the last bit, what learning in one gives.

    Parameters
    ----------
    model : what the class knows so far; changed in place
    samples : (N, n) features, normalised
    indices : (K,) what the exemplars are to be known by
    rows : (K,) rows of ``samples`` to learn, in this order; all of them if not given. They are copied a block at a
        time, not all at once

    Returns
    -------
    The same ``model``.

    Notes
    -----
    Reading of eq. (8): a sample that coincides with a prototype joins it. Literally it would found a prototype once
    more, and a class of identical samples would grow without end.
    """
    from simdnn.paper.kernel import learn_samples  # Numba takes a second to import

    rows = np.arange(len(samples)) if rows is None else rows
    room = _with_room(model, min(len(rows), 2 * BLOCK))
    for start in range(0, len(rows), BLOCK):
        block = samples[rows[start : start + BLOCK]].astype(np.float64)
        known = len(model)
        if len(room) < known + len(block):
            room = _with_room(model, 2 * BLOCK)
        found, model.moments.count, model.moments.scatter = learn_samples(
            block,
            np.ascontiguousarray(indices[start : start + BLOCK], dtype=np.int64),
            (known, model.moments.count, model.moments.scatter),
            model.moments.mean,
            room.vectors,
            room.support,
            room.scatter,
            room.exemplars,
            room.exemplar_vectors,
        )
        model.vectors, model.exemplar_vectors = room.vectors[:found], room.exemplar_vectors[:found]
        model.support, model.scatter = room.support[:found], room.scatter[:found]
        model.exemplars = room.exemplars[:found]
        model.serials = np.append(
            model.serials, np.arange(model.next_serial, model.next_serial + found - known)
        )
        model.next_serial += found - known
    return model


def _with_room(model: ClassModel, spare: int) -> ClassModel:
    """Return a copy of a class with that many empty places behind its prototypes."""
    places = (spare, model.vectors.shape[1])
    return ClassModel(
        model.moments,
        np.vstack([model.vectors, np.empty(places)]),
        np.append(model.support, np.zeros(spare, dtype=np.int64)),
        np.append(model.scatter, np.zeros(spare)),
        np.append(model.exemplars, np.zeros(spare, dtype=np.int64)),
        np.vstack([model.exemplar_vectors, np.empty(places)]),
        model.serials,
    )
