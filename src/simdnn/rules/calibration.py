"""The outputs of a guard's networks for the images that calibrate its threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simdnn.networks.batch import Batch
from simdnn.paper.model import SimilarityModel
from simdnn.rules.inputs import RuleInput, shares_of, view_statistics
from simdnn.rules.view_statistics import ViewStatistics


@dataclass(frozen=True)
class CalibrationSet:
    """Clean images held out of learning, and harmlessly corrupted copies of some of them: k images in all.

    Attributes
    ----------
    features : (k, n) raw features
    logits : (k, K) logits of the protected network
    votes : (k, c) noisy draws that the auxiliary network gave each of its classes; c = 0 without one
    views : comparison of each image with its views; None for a rule without views
    corruption : (k,) name of the harmless corruption; empty for a clean image
    image_sha256 : (k,) SHA-256 of the image file; for a corrupted copy, that of its original
    """

    features: NDArray[np.float32]
    logits: NDArray[np.float32]
    votes: NDArray[np.int64]
    views: ViewStatistics | None
    corruption: tuple[str, ...]
    image_sha256: tuple[str, ...]

    @classmethod
    def of(cls, batch: Batch) -> CalibrationSet:
        """Return the calibration set of a batch of network outputs."""
        return cls(
            batch.features,
            batch.logits,
            batch.votes,
            view_statistics(batch),
            batch.corruption,
            batch.image_sha256,
        )

    def joined(self, other: CalibrationSet) -> CalibrationSet:
        """Return the images of both, which the same networks saw through the same views."""
        views = None
        if self.views is not None and other.views is not None:
            views = self.views.joined(other.views)
        return CalibrationSet(
            np.concatenate([self.features, other.features]),
            np.concatenate([self.logits, other.logits]),
            np.concatenate([self.votes, other.votes]),
            views,
            self.corruption + other.corruption,
            self.image_sha256 + other.image_sha256,
        )

    def __len__(self) -> int:
        return len(self.features)

    @property
    def clean(self) -> NDArray[np.bool_]:
        """(k,) True for clean images, False for corrupted copies."""
        return np.array([not name for name in self.corruption], dtype=bool)

    def inputs(self, model: SimilarityModel) -> RuleInput:
        """Return the rule's input, with similarities to the current prototypes."""
        return RuleInput(
            self.features,
            self.logits,
            self.logits.argmax(axis=1),
            model.similarities(self.features),
            shares_of(self.votes),
            self.views,
        )
