"""Consistency with augmented neighbours, after BEYOND: He and others, ICML 2024."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import v2

from simdnn.arrays import FloatArray
from simdnn.evaluation.baselines.inputs import BaselineInput, baseline_input
from simdnn.networks.backbone import Backbone

CLEAN_IMAGES = 200
"""Largest number of clean images for mean and standard deviation of the consistency."""

BATCH = 32
"""Images that are changed at once: few, so that what they need stays in the processor's caches."""


class Neighbours:
    """Share of neighbours with the image's label, and mean cosine of their features with its own.

    Both are standardised on clean images and added. The paper runs a second, self-supervised network on 50
    neighbours; here the protected network itself is run, on fewer.
    """

    name: ClassVar[str] = "neighbours"
    paper: ClassVar[str] = (
        "after He and others, Be your own neighborhood (BEYOND), ICML 2024; in the protected network itself, "
        "without a self-supervised one, and 10 neighbours instead of 50"
    )

    def __init__(self, count: int = 10) -> None:
        self.count = count

    def fit(self, network: Backbone, clean: BaselineInput, labels: NDArray[np.int64]) -> None:
        """Learn how consistent clean images are."""
        chosen = np.random.default_rng(0).permutation(len(labels))[:CLEAN_IMAGES]
        consistency = self._consistency(network, clean.rows(chosen))
        self.mean, self.deviation = consistency.mean(axis=0), np.maximum(consistency.std(axis=0), 1e-6)

    def score(self, network: Backbone, images: BaselineInput) -> FloatArray:
        """Return the sum of the standardised consistencies."""
        return np.asarray(((self._consistency(network, images) - self.mean) / self.deviation).sum(axis=1))

    def _consistency(self, network: Backbone, images: BaselineInput) -> FloatArray:
        """Return (N, 2): share of neighbours with the image's label, mean cosine of the features."""
        labels, own = images.logits.argmax(axis=1), _unit(images.penultimate)
        agree, cosine = np.zeros(len(labels)), np.zeros(len(labels))
        for number in range(self.count):
            parts = [neighbour(part, number) for part in torch.split(images.pixels, BATCH)]
            changed = baseline_input(network, torch.cat(parts))
            agree += changed.logits.argmax(axis=1) == labels
            cosine += (own * _unit(changed.penultimate)).sum(axis=1)
        return np.stack([agree, cosine], axis=1) / self.count


def neighbour(pixels: Tensor, number: int) -> Tensor:
    """Return the same random change of all images (N, 3, H, W): cropped, perhaps mirrored, recoloured, perhaps grey."""
    height, width = pixels.shape[-2:]
    change = v2.Compose(
        [
            v2.RandomResizedCrop((height, width), scale=(0.5, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.2, 0.2, 0.2, 0.05),
            v2.RandomGrayscale(0.2),
        ]
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(number)
        changed: Tensor = change(pixels)
    return changed.clamp(0, 1)


def _unit(features: NDArray[np.float32]) -> FloatArray:
    wide = features.astype(np.float64)
    return np.asarray(wide / (np.linalg.norm(wide, axis=1, keepdims=True) + 1e-12))
