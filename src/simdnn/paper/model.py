"""What Sim-DNN learned of the features of clean images: raw features in, similarities and labels out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import Array
from simdnn.paper.equations import label, relative_similarity
from simdnn.paper.learning import learning_order
from simdnn.paper.prototypes import PrototypeSet, SigmaKind
from simdnn.paper.scaling import FeatureRange


@dataclass(frozen=True)
class SimilarityModel:
    """Prototypes of every class, and the range that features are scaled by before they are compared.

    Attributes
    ----------
    scaling : range of every feature
    prototypes : edit them, and similarities and labels follow
    """

    scaling: FeatureRange
    prototypes: PrototypeSet

    @classmethod
    def learn(
        cls,
        features: NDArray[np.floating],
        labels: NDArray[np.str_],
        *,
        sigma: SigmaKind = "shared",
        shuffle: bool = False,
        seed: int = 0,
    ) -> Self:
        """Learn, class by class in one pass, from (N, n) raw features and their (N,) labels.

        Parameters
        ----------
        features, labels : of clean images
        sigma : whose variance eq. (10) divides by
        shuffle : whether each class is learned in a random order
        seed : of that order
        """
        scaling = FeatureRange.of(features)
        rows = {}
        for name in np.unique(labels):
            (own,) = np.nonzero(labels == name)
            rows[str(name)] = learning_order(str(name), own, 0, seed) if shuffle else own
        prototypes = PrototypeSet(features.shape[1], sigma)
        prototypes.learn(scaling(features), rows)
        return cls(scaling, prototypes)

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in sorted order, those of prototypes added by hand included."""
        return tuple(sorted(self.prototypes.classes))

    def similarities(self, features: Array) -> Array:
        """Eq. (10): (N, M) similarity of (N, n) raw features to the prototypes, in their order."""
        return self.prototypes.similarity(self.scaling(features))

    def labels(self, similarities: NDArray[Any]) -> NDArray[np.str_]:
        """Eq. (13): (N,) label of the most similar prototype, from (N, M) similarities."""
        return label(relative_similarity(similarities), self.prototypes.labels).astype(str)
