"""The learned model: raw features in, similarities to the prototypes and labels out."""

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
    """The prototypes of all classes, and the scaling of features to [0, 1].

    Attributes
    ----------
    scaling : scales each feature by its range on the images learned
    prototypes : may be edited at any time; similarities and labels follow
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
        """Learn from clean images, class by class, in one pass.

        Parameters
        ----------
        features, labels : (N, n) raw features, and (N,) class of each image
        sigma : which variance eq. (10) divides by, see :class:`simdnn.paper.prototypes.PrototypeSet`
        shuffle : whether each class is learned in a random order
        seed : seed of that order
        """
        scaling = FeatureRange.of(features)
        rows = {}
        for name in np.unique(labels):
            (class_rows,) = np.nonzero(labels == name)
            rows[str(name)] = learning_order(str(name), class_rows, 0, seed) if shuffle else class_rows
        prototypes = PrototypeSet(features.shape[1], sigma)
        prototypes.learn(features, rows, scaling=scaling)
        return cls(scaling, prototypes)

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in sorted order, including those of prototypes added by hand."""
        return tuple(sorted(self.prototypes.classes))

    def similarities(self, features: Array) -> Array:
        """Eq. (10): (N, M) similarities in [0, 1] of (N, n) raw features to the M prototypes."""
        return self.prototypes.similarity(self.scaling(features))

    def labels(self, similarities: NDArray[Any]) -> NDArray[np.str_]:
        """Eq. (13): (N,) label of the most similar prototype, from (N, M) similarities."""
        return label(relative_similarity(similarities), self.prototypes.labels).astype(str)
