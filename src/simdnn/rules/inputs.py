"""What a rule looks at: features, logits and similarities of some images, and how each compares with its views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdnn.arrays import Array, FloatArray, IntArray
from simdnn.networks.batch import Batch
from simdnn.paper.model import SimilarityModel
from simdnn.rules.view_statistics import ViewStatistics, compare_views


@dataclass(frozen=True)
class RuleInput:
    """N images, as NumPy arrays or PyTorch tensors.

    Attributes
    ----------
    features : (N, n) raw features of the networks
    logits : (N, K) of the protected network
    predictions : (N,) its outputs: the largest logit, or what an attacker wants it to become
    similarities : (N, M) to every prototype, eq. (10)
    shares : (N, c) share of the noisy draws in which the auxiliary network gives each of its classes; c = 0 without
    views : how each image compares with its views; None for a rule that looks at none
    """

    features: Array
    logits: Array
    predictions: Array
    similarities: Array
    shares: Array
    views: ViewStatistics | None

    @classmethod
    def of(cls, batch: Batch, model: SimilarityModel) -> RuleInput:
        """Return what a rule looks at of a batch."""
        return cls(
            batch.features,
            batch.logits,
            batch.logits.argmax(axis=1),
            model.similarities(batch.features),
            shares_of(batch.votes),
            view_statistics(batch),
        )

    def take(self, rows: Array) -> RuleInput:
        """Return some of the images."""
        return RuleInput(
            self.features[rows],
            self.logits[rows],
            self.predictions[rows],
            self.similarities[rows],
            self.shares[rows],
            None if self.views is None else self.views.take(rows),
        )


def shares_of(votes: IntArray) -> FloatArray:
    """Return the share of each class among (N, c) votes."""
    return np.asarray(votes / np.maximum(votes.sum(axis=1, keepdims=True), 1), dtype=np.float64)


def view_statistics(batch: Batch) -> ViewStatistics | None:
    """Compare the images of a batch with their views; None where it has no views."""
    if not batch.view_features.shape[1]:
        return None
    return compare_views(
        batch.features, batch.view_features, batch.logits, batch.view_logits, batch.logits.argmax(axis=1)
    )
