"""Kernel density: Feinman and others, "Detecting adversarial samples from artifacts", 2017."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.neighbors import KernelDensity

from simdnn.arrays import FloatArray
from simdnn.evaluation.baselines.inputs import BaselineInput
from simdnn.networks.backbone import Backbone

BANDWIDTHS = (0.1, 0.2, 0.4, 0.8)
"""Candidate bandwidths, relative to the median distance between clean images of one class."""


class KDE:
    """Log of the mean Gaussian kernel over the clean images of a class, scikit-learn's.

    ``log (1/n sum_i exp(-|z - z_i|^2 / 2 h^2))``, up to a constant, over the class of the nearest mean; in the paper
    it is the class that the network predicts. The bandwidth h is the one with which every fifth clean image has the
    highest likelihood under the others.
    """

    name: ClassVar[str] = "KDE"
    paper: ClassVar[str] = (
        "Feinman and others, Detecting adversarial samples from artifacts, 2017; the class of the nearest mean"
    )

    def fit(self, network: Backbone, clean: BaselineInput, labels: NDArray[np.int64]) -> None:
        """Choose the bandwidth, and keep the clean images."""
        features = clean.penultimate.astype(np.float64)
        classes = np.unique(labels)
        self.means = np.stack([features[labels == c].mean(axis=0) for c in classes])
        groups = [features[labels == c] for c in classes]
        between = np.concatenate(
            [euclidean_distances(group)[np.triu_indices(len(group), 1)] for group in groups]
        )
        median = float(np.median(between)) or 1.0
        candidates = [share * median for share in BANDWIDTHS]
        self.bandwidth = max(candidates, key=lambda h: _likelihood(groups, h))
        self.densities = [KernelDensity(bandwidth=self.bandwidth).fit(group) for group in groups]

    def score(self, network: Backbone, images: BaselineInput) -> FloatArray:
        """Return the log density under the class of the nearest mean."""
        features = images.penultimate.astype(np.float64)
        nearest = euclidean_distances(features, self.means).argmin(axis=1)
        scores = np.empty(len(features))
        for c, density in enumerate(self.densities):
            if (nearest == c).any():
                scores[nearest == c] = density.score_samples(features[nearest == c])
        return scores


def _likelihood(groups: list[FloatArray], bandwidth: float) -> float:
    """Return the log likelihood of every fifth image under the other images of its class."""
    total = 0.0
    for group in groups:
        out = np.arange(len(group)) % 5 == 4
        if out.any():
            total += float(KernelDensity(bandwidth=bandwidth).fit(group[~out]).score(group[out]))
    return total
