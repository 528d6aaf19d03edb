"""The clean images that calibrate a guard, as its networks saw them."""

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
    """Images that no prototype was learned from, and harmlessly corrupted copies of some of them.

    Attributes
    ----------
    features : (k, n) raw features
    logits : (k, K) of the protected network
    votes : (k, c) noisy draws that the auxiliary network gave each of its classes; c = 0 without one
    views : how each compares with its views; None for a rule that looks at none
    corruption : (k,) name of the harmless corruption; empty for an image as it is
    image_sha256 : (k,) hash of the image file; a corrupted copy has that of its original
    """

    features: NDArray[np.float32]
    logits: NDArray[np.float32]
    votes: NDArray[np.int64]
    views: ViewStatistics | None
    corruption: tuple[str, ...]
    image_sha256: tuple[str, ...]

    @classmethod
    def of(cls, batch: Batch) -> CalibrationSet:
        """Keep what came out of the networks."""
        return cls(
            batch.features,
            batch.logits,
            batch.votes,
            view_statistics(batch),
            batch.corruption,
            batch.image_sha256,
        )

    def __len__(self) -> int:
        return len(self.features)

    @property
    def clean(self) -> NDArray[np.bool_]:
        """(k,) True for images as they are, False for corrupted copies."""
        return np.array([not name for name in self.corruption], dtype=bool)

    def inputs(self, model: SimilarityModel) -> RuleInput:
        """Return what a rule looks at, with the prototypes as they are now."""
        return RuleInput(
            self.features,
            self.logits,
            self.logits.argmax(axis=1),
            model.similarities(self.features),
            shares_of(self.votes),
            self.views,
        )
