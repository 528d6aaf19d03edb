"""The input of a rule: features, logits and similarities of N images, and their comparison with views."""

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
    logits : (N, K) logits of the protected network
    predictions : (N,) index of the largest logit; in an adaptive attack, the attack's target
    similarities : (N, M) similarities to the prototypes, eq. (10)
    shares : (N, c) share of the noisy draws in which the auxiliary network gives each of its classes; c = 0 without one
    views : comparison of each image with its views; None for a rule without views
    """

    features: Array
    logits: Array
    predictions: Array
    similarities: Array
    shares: Array
    views: ViewStatistics | None

    @classmethod
    def of(cls, batch: Batch, model: SimilarityModel) -> RuleInput:
        """Return the rule's input for a batch of network outputs."""
        return cls(
            batch.features,
            batch.logits,
            batch.logits.argmax(axis=1),
            model.similarities(batch.features),
            shares_of(batch.votes),
            view_statistics(batch),
        )

    def take(self, rows: Array) -> RuleInput:
        """Return the input for some of the images, by indices or by a mask (N,)."""
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
    """Compare the images of a batch with their views; None without views."""
    if not batch.view_features.shape[1]:
        return None
    return compare_views(
        batch.features, batch.view_features, batch.logits, batch.view_logits, batch.logits.argmax(axis=1)
    )
