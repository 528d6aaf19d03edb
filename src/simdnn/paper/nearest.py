"""The most similar prototype of many samples, exactly and at about the price of one matrix product.

Distances are computed as ``|x|^2 - 2 x p + |p|^2`` in single precision, which is quick and inexact. A bound on its
error (Higham, *Accuracy and Stability of Numerical Algorithms*, section 3.1) tells which prototypes may be the most
similar; among these few, eq. (10) decides in double precision. So label and score are those of the slow way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import FloatArray, IntArray
from simdnn.paper.equations import similarity

AT_ONCE = 64 << 20
"""Bytes of approximate distances that are held at a time."""

_UNIT = 2.0**-24  # of rounding in single precision
_NO_VARIANCE = 1e-30  # stands for a variance of 0, by which nothing can be divided


class NearestPrototype:
    """Finds the most similar of M prototypes by eq. (10).

    Parameters
    ----------
    parts : one or more (m, n) arrays of prototypes, M in all; they are not copied
    variances : (M,) variance that eq. (10) divides by, >= 0
    """

    def __init__(self, parts: Sequence[FloatArray], variances: FloatArray) -> None:
        self.parts = [part for part in parts if len(part)]
        self.ends = np.cumsum([len(part) for part in self.parts])
        self.variances = variances
        count, width = int(self.ends[-1]), self.parts[0].shape[1]
        self.centre: FloatArray = sum((part.sum(axis=0) for part in self.parts), np.zeros(width)) / count
        self.table = np.empty((count, width), dtype=np.float32)
        squares = np.empty(count)
        for part, end in zip(self.parts, self.ends.tolist(), strict=True):
            apart = part - self.centre
            self.table[end - len(part) : end] = apart
            squares[end - len(part) : end] = np.einsum("ij,ij->i", apart, apart)
        with np.errstate(over="ignore"):  # then all are candidates
            self.squares = squares.astype(np.float32)
        self.radius = float(np.sqrt(squares.max()))
        equal = bool((variances == variances[0]).all())
        self.weights = None if equal else (1 / np.maximum(variances, _NO_VARIANCE)).astype(np.float32)
        self.rows = int(np.clip(AT_ONCE // (4 * count), 16, 4096))

    def __call__(self, x: NDArray[np.floating]) -> tuple[IntArray, FloatArray]:
        """Return (N,) the index of the most similar prototype, the first if there are several, and its similarity.

        Parameters
        ----------
        x : (N, n) finite samples, scaled as the prototypes are
        """
        winners, scores = np.empty(len(x), dtype=np.int64), np.empty(len(x))
        for start in range(0, len(x), self.rows):
            samples = np.asarray(x[start : start + self.rows], dtype=np.float64)
            maybe = self._maybe(samples)
            rows, columns = np.nonzero(maybe)
            edges = np.searchsorted(rows, np.arange(len(samples) + 1))
            for i in range(len(samples)):
                near = columns[edges[i] : edges[i + 1]]
                if not len(near):  # numbers too large for single precision
                    near = np.arange(self.ends[-1])
                found = similarity(samples[i : i + 1], self._vectors(near), self.variances[near])[0]
                best = int(found.argmax())
                winners[start + i], scores[start + i] = near[best], found[best]
        return winners, scores

    def _maybe(self, samples: FloatArray) -> NDArray[np.bool_]:
        """Return (N, M) True where a prototype may be the most similar one."""
        apart = samples - self.centre
        squares = np.einsum("ij,ij->i", apart, apart)
        norms = np.sqrt(squares)
        with np.errstate(over="ignore", invalid="ignore"):
            distances = (-2 * apart).astype(np.float32) @ self.table.T
            distances += self.squares
            terms = samples.shape[1] + 8
            error = 2 * terms * _UNIT / (1 - terms * _UNIT) * norms * self.radius
            error += 8 * _UNIT * (self.radius + norms) ** 2
            margin = (1.01 * error).astype(np.float32)[:, None]  # rounded up
            if self.weights is None:  # the squares of the samples change no order
                return np.asarray(distances <= distances.min(axis=1, keepdims=True) + 2 * margin)
            distances += squares.astype(np.float32)[:, None]
            most = ((distances + margin) * self.weights).min(axis=1, keepdims=True)
            return np.asarray((distances - margin) * self.weights <= most * (1 + 8 * _UNIT))

    def _vectors(self, indices: IntArray) -> FloatArray:
        """Return prototypes (k, n) by their indices among all."""
        owners = np.searchsorted(self.ends, indices, side="right")
        return np.stack(
            [
                self.parts[owner][index - self.ends[owner]]
                for owner, index in zip(owners.tolist(), indices.tolist(), strict=True)
            ]
        )
