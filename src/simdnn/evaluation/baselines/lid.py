"""Local intrinsic dimensionality: Ma and others, ICLR 2018."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from simdnn.arrays import FloatArray
from simdnn.evaluation.baselines.inputs import BaselineInput
from simdnn.networks.backbone import Backbone

TINY = 1e-12


def dimensionality(distances: FloatArray) -> FloatArray:
    """Estimate it by maximum likelihood: ``-(1/k sum_i log(r_i / r_k))^-1``, from (N, k) ascending distances."""
    r = np.maximum(distances, TINY)
    return np.asarray(-1 / np.minimum(np.log(r / r[:, -1:]).mean(axis=1), -TINY))


class LID:
    """Sum over several layers of the local intrinsic dimensionality among clean images, standardised on these.

    According to the paper it is high for attacked images.
    """

    name: ClassVar[str] = "LID"
    paper: ClassVar[str] = (
        "Ma and others, Characterizing adversarial subspaces using LID, ICLR 2018; the layers are weighed by a "
        "regression on attacked images there, here all weigh the same"
    )

    def __init__(self, k: int = 20) -> None:
        self.k = k

    def fit(self, network: Backbone, clean: BaselineInput, labels: NDArray[np.int64]) -> None:
        """Keep the clean images' features at every layer, and learn the mean and deviation of their dimensions."""
        k = min(self.k, len(labels) - 1)
        self.references = {
            layer: NearestNeighbors(n_neighbors=k).fit(values) for layer, values in clean.features.items()
        }
        # without new points, scikit-learn leaves each image itself out
        dimensions = np.stack(
            [dimensionality(neighbours.kneighbors()[0]) for neighbours in self.references.values()], axis=1
        )
        self.mean, self.deviation = dimensions.mean(axis=0), np.maximum(dimensions.std(axis=0), TINY)

    def score(self, network: Backbone, images: BaselineInput) -> FloatArray:
        """Return minus the sum of the standardised dimensions."""
        dimensions = np.stack(
            [
                dimensionality(neighbours.kneighbors(images.features[layer])[0])
                for layer, neighbours in self.references.items()
            ],
            axis=1,
        )
        return np.asarray(-((dimensions - self.mean) / self.deviation).sum(axis=1))
