"""A guard on features: prototypes and a threshold, and nothing of the networks that gave the features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import FloatArray, IntArray
from simdnn.conformal.per_class import MondrianThreshold
from simdnn.conformal.split import ConformalThreshold
from simdnn.conformal.threshold import Threshold
from simdnn.errors import InputError
from simdnn.features.file import read, write
from simdnn.features.shards import Shards
from simdnn.guard.verdict import Neighbour, Verdict
from simdnn.paper.nearest import NearestPrototype
from simdnn.paper.prototypes import SigmaKind
from simdnn.paper.scaling import FeatureRange
from simdnn.progress import Progress

RULE = "similarity"


@dataclass
class FeatureGuard:
    """What was learned from features, and judges others by the similarity rule.

    Made by :func:`simdnn.features.learning.learn_features` or :meth:`read`.

    Attributes
    ----------
    classes, sizes : (C,) labels, and the number of prototypes of each
    parts : (m, n) arrays of prototypes, M in all, in the order of the classes
    variances, support, serials, exemplars : (M,) of each prototype: variance of eq. (10), samples behind it, number
        within its class, and the id of the row that is shown for it
    scaling : scales each feature by its range on the rows learned
    alpha : false-alarm rate that the threshold promises
    sigma, seed, data, learned, created : how it was learned: variance, seed, where the rows lay, their number, the time
    calibration_scores, calibration_labels : (k,) scores, and indices of the labels given, of the rows that calibrate
    model_id : 16 hexadecimal digits of the file it was read from; empty if it has none
    """

    classes: tuple[str, ...]
    sizes: IntArray
    parts: list[FloatArray]
    variances: FloatArray
    support: IntArray
    serials: IntArray
    exemplars: tuple[str, ...]
    scaling: FeatureRange
    alpha: float
    sigma: SigmaKind
    seed: int
    data: str
    learned: int
    created: str
    calibration_scores: FloatArray = field(default_factory=lambda: np.empty(0))
    calibration_labels: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    model_id: str = ""

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read a file that :meth:`save` wrote; ModelFileError if it is damaged, of a newer version or another file."""
        return cls(**read(Path(path)))

    def save(self, path: Path | str) -> None:
        """Write all into one file, whole or not at all; OutputError if it cannot be written."""
        write(Path(path), vars(self))

    @cached_property
    def nearest(self) -> NearestPrototype:
        """Finds the most similar prototype."""
        return NearestPrototype(self.parts, self.variances)

    @cached_property
    def owners(self) -> IntArray:
        """(M,) index of each prototype's class."""
        return np.repeat(np.arange(len(self.classes)), self.sizes)

    def calibrate(self, parts: Sequence[NDArray[np.floating]]) -> None:
        """Calibrate on features of clean images that were not learned, k in all.

        Parameters
        ----------
        parts : one or more arrays (k_i, n), not scaled

        Raises
        ------
        InputError
            If a number is missing or infinite.
        """
        if not all(np.isfinite(part).all() for part in parts):
            raise InputError("expected finite features to calibrate on, got missing or infinite ones")
        decided = [self.decide(part) for part in parts]
        self.calibration_labels = self.owners[np.concatenate([winners for winners, _ in decided])]
        self.calibration_scores = np.concatenate([scores for _, scores in decided])

    def decide(self, features: NDArray[np.floating]) -> tuple[IntArray, FloatArray]:
        """Return (N,) the most similar prototype's index, eq. (13), and its similarity, the score, eq. (10).

        Parameters
        ----------
        features : (N, n) finite, not scaled
        """
        winners, scores = np.empty(len(features), dtype=np.int64), np.empty(len(features))
        for start in range(0, len(features), self.nearest.rows):  # scaled a few at a time, to save memory
            rows = slice(start, start + self.nearest.rows)
            winners[rows], scores[rows] = self.nearest(self.scaling(features[rows]))
        return winners, scores

    def threshold(self, *, alpha: float | None = None, per_class: bool = False) -> Threshold:
        """Return the threshold, for another alpha or with one for each class if asked.

        Raises
        ------
        InputError
            If too few rows calibrate for that.
        """
        alpha = self.alpha if alpha is None else alpha
        if not per_class:
            return ConformalThreshold(self.calibration_scores, alpha)
        labels = np.array(self.classes)[self.calibration_labels]
        return MondrianThreshold(self.calibration_scores, labels, self.classes, alpha)

    def check(
        self,
        shards: Shards,
        *,
        alpha: float | None = None,
        per_class: bool = False,
        progress: Progress | None = None,
    ) -> Iterator[Verdict]:
        """Judge all rows, one verdict each in their order; a row with missing or infinite numbers is an error.

        Parameters
        ----------
        shards : features; their labels are not looked at
        alpha, per_class : as for :meth:`threshold`
        progress : called with (done, total)

        Raises
        ------
        InputError
            If the features have another width than those learned, or too few rows calibrate.
        """
        width = len(self.scaling.low)
        if shards.width != width:
            raise InputError(
                f"expected {width} features in each row of {shards.path}, as learned; got {shards.width}"
            )
        threshold = self.threshold(alpha=alpha, per_class=per_class)
        names = np.array(self.classes)
        for block in shards.blocks():
            sound = np.isfinite(block.features).all(axis=1)
            features = block.features if sound.all() else block.features[sound]
            winners, scores = self.decide(features)
            labels = names[self.owners[winners]]
            decision = threshold.judge(scores, labels)
            at = -1
            for good, name in zip(sound.tolist(), block.ids, strict=True):
                if not good:
                    yield Verdict(name, "error", error="missing or infinite features")
                    continue
                at += 1
                p_values = decision.p_values
                yield self._verdict(
                    name,
                    int(winners[at]),
                    float(scores[at]),
                    bool(decision.attack[at]),
                    float(decision.offsets[at]),
                    None if p_values is None else float(p_values[at]),
                )
            if progress is not None:
                progress(block.start + len(block.features), shards.rows)

    def _verdict(
        self, name: str, winner: int, score: float, attack: bool, offset: float, p_value: float | None
    ) -> Verdict:
        label = self.classes[self.owners[winner]]
        prototype = f"{label}/{self.serials[winner]}"
        return Verdict(
            path=name,
            verdict="attack" if attack else "clean",
            label=label,
            score=score,
            p_value=p_value,
            threshold=offset,
            prototype=prototype,
            rule=RULE,
            evidence=(Neighbour(prototype, label, score, self.exemplars[winner]),),
        )
