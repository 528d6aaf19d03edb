"""Detectors of pytorch-ood, on the logits or the features of one pass.

pytorch-ood's scores are high for outliers, ours for clean images; only `_high_is_clean` changes the sign.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_ood.detector import KNN, RMD, EnergyBased, Mahalanobis, MaxSoftmax, ViM

from simdnn.arrays import FloatArray
from simdnn.errors import InputError
from simdnn.evaluation.baselines.inputs import BaselineInput
from simdnn.networks.backbone import Backbone
from simdnn.networks.loading import last_layer


class MSP:
    """Largest softmax probability."""

    name: ClassVar[str] = "MSP"
    paper: ClassVar[str] = (
        "Hendrycks and Gimpel, A baseline for detecting misclassified and OOD examples, ICLR 2017"
    )

    def fit(self, network: Backbone, clean: BaselineInput, labels: NDArray[np.int64]) -> None:
        """Learn nothing."""

    def score(self, network: Backbone, images: BaselineInput) -> FloatArray:
        """Return max softmax."""
        return _high_is_clean(MaxSoftmax.score(torch.from_numpy(images.logits)))


class Energy:
    """Log of the sum of the exponentials of the logits."""

    name: ClassVar[str] = "energy"
    paper: ClassVar[str] = "Liu and others, Energy-based out-of-distribution detection, NeurIPS 2020"

    def fit(self, network: Backbone, clean: BaselineInput, labels: NDArray[np.int64]) -> None:
        """Learn nothing."""

    def score(self, network: Backbone, images: BaselineInput) -> FloatArray:
        """Return log sum exp of the logits."""
        return _high_is_clean(EnergyBased.score(torch.from_numpy(images.logits)))


class _OnFeatures:
    """Base of the detectors that pytorch-ood fits on the penultimate features."""

    detector: Any

    def fit(self, network: Backbone, clean: BaselineInput, labels: NDArray[np.int64]) -> None:
        """Learn from the penultimate features of clean images."""
        self.detector = self.make(network, clean)
        self.detector.fit_features(torch.from_numpy(clean.penultimate), torch.from_numpy(labels))

    def make(self, network: Backbone, clean: BaselineInput) -> Any:
        """Make the detector."""
        raise NotImplementedError

    def score(self, network: Backbone, images: BaselineInput) -> FloatArray:
        """Score by the penultimate features."""
        return _high_is_clean(self.detector.predict_features(torch.from_numpy(images.penultimate)))


class MahalanobisLast(_OnFeatures):
    """Mahalanobis distance to the nearest class mean, with a covariance that the classes share."""

    name: ClassVar[str] = "Mahalanobis"
    paper: ClassVar[str] = (
        "Lee and others, A simple unified framework for detecting OOD samples and adversarial attacks, NeurIPS 2018; "
        "last layer only, no change of the input"
    )

    def make(self, network: Backbone, clean: BaselineInput) -> Any:
        """Make the detector."""
        return Mahalanobis(None)


class RelativeMahalanobis(_OnFeatures):
    """Mahalanobis distance to the nearest class mean minus that to the mean of all images."""

    name: ClassVar[str] = "RMD"
    paper: ClassVar[str] = "Ren and others, A simple fix to Mahalanobis distance, 2021"

    def make(self, network: Backbone, clean: BaselineInput) -> Any:
        """Make the detector."""
        return RMD(None)


class NearestNeighbours(_OnFeatures):
    """Distance to the k-th nearest clean image, features at unit length."""

    name: ClassVar[str] = "kNN"
    paper: ClassVar[str] = (
        "Sun and others, Out-of-distribution detection with deep nearest neighbors, ICML 2022"
    )

    def __init__(self, k: int = 50) -> None:
        self.k = k

    def make(self, network: Backbone, clean: BaselineInput) -> Any:
        """Make the detector; k no larger than a tenth of the images."""
        return KNN(None, k=max(1, min(self.k, len(clean.logits) // 10)))


class VirtualLogit(_OnFeatures):
    """Norm of the features outside their principal subspace, as a logit beside the others."""

    name: ClassVar[str] = "ViM"
    paper: ClassVar[str] = "Wang and others, ViM: out-of-distribution with virtual-logit matching, CVPR 2022"

    def make(self, network: Backbone, clean: BaselineInput) -> Any:
        """Make the detector, with the subspace's dimension as in the paper: 1000, 512, or half of the features."""
        head = network.network.get_submodule(last_layer(network.network))
        weight, bias = (getattr(head, part, None) for part in ("weight", "bias"))
        width = clean.penultimate.shape[1]
        if weight is None or bias is None or weight.flatten(1).shape[1] != width:
            raise InputError("ViM needs a last layer with weight and bias whose input the features are")
        subspace = 1000 if width >= 2048 else 512 if width >= 768 else width // 2
        return ViM(None, subspace, weight.detach().cpu().flatten(1), bias.detach().cpu())


class MahalanobisLayers:
    """Mahalanobis distances at several layers, each standardised on clean images, summed."""

    name: ClassVar[str] = "Mahalanobis, layers"
    paper: ClassVar[str] = (
        "Lee and others, NeurIPS 2018; the weights of the layers are learned from attacked images there, "
        "here all layers weigh the same"
    )

    def fit(self, network: Backbone, clean: BaselineInput, labels: NDArray[np.int64]) -> None:
        """Learn a covariance at each layer, and the mean and deviation of clean images' distances."""
        self.detectors = {}
        for layer, values in clean.features.items():
            self.detectors[layer] = Mahalanobis(None).fit_features(
                torch.from_numpy(values), torch.from_numpy(labels)
            )
        distances = self._distances(clean)
        self.mean, self.deviation = distances.mean(axis=0), np.maximum(distances.std(axis=0), 1e-12)

    def score(self, network: Backbone, images: BaselineInput) -> FloatArray:
        """Return minus the sum of the standardised distances."""
        return np.asarray(-((self._distances(images) - self.mean) / self.deviation).sum(axis=1))

    def _distances(self, images: BaselineInput) -> FloatArray:
        return np.stack(
            [
                -_high_is_clean(detector.predict_features(torch.from_numpy(images.features[layer])))
                for layer, detector in self.detectors.items()
            ],
            axis=1,
        )


def _high_is_clean(outlier_scores: torch.Tensor) -> FloatArray:
    """Change the sign of pytorch-ood's scores."""
    return np.asarray(-outlier_scores.double().numpy())
