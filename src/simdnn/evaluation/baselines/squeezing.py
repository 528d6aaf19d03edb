"""Feature squeezing: Xu, Evans and Qi, NDSS 2018."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.special import softmax
from skimage.restoration import denoise_nl_means
from torch import Tensor

from simdnn.arrays import FloatArray
from simdnn.attacks.attack import round_to_levels
from simdnn.evaluation.baselines.inputs import BaselineInput, baseline_input
from simdnn.networks.backbone import Backbone


def fewer_bits(pixels: Tensor) -> Tensor:
    """Round to 5 bits."""
    return round_to_levels(pixels, 32)


def median(pixels: Tensor) -> Tensor:
    """Take the median of 2 x 2 pixels."""
    return torch.from_numpy(median_filter(pixels.numpy(), size=(1, 1, 2, 2), mode="reflect"))


def non_local_means(pixels: Tensor) -> Tensor:
    """Denoise by non-local means: patches of 3 x 3 pixels within 11 x 11, filter strength 4/255."""
    denoised = [
        denoise_nl_means(
            image.permute(1, 2, 0).numpy(),
            patch_size=3,
            patch_distance=5,
            h=4 / 255,
            fast_mode=True,
            channel_axis=-1,
        )
        for image in pixels
    ]
    return torch.from_numpy(np.stack(denoised)).permute(0, 3, 1, 2).float()


SQUEEZERS = (fewer_bits, median, non_local_means)
"""The paper's best set for ImageNet."""


class FeatureSqueezing:
    """Largest L1 distance between the posterior of an image and that of its squeezed forms."""

    name: ClassVar[str] = "feature squeezing"
    paper: ClassVar[str] = (
        "Xu, Evans and Qi, Feature squeezing, NDSS 2018; its best joint squeezers for ImageNet"
    )

    def fit(self, network: Backbone, clean: BaselineInput, labels: NDArray[np.int64]) -> None:
        """Learn nothing."""

    def score(self, network: Backbone, images: BaselineInput) -> FloatArray:
        """Return minus the largest distance."""
        posterior = softmax(images.logits.astype(np.float64), axis=1)
        distances = []
        for squeeze in SQUEEZERS:
            squeezed = baseline_input(network, squeeze(images.pixels).clamp(0, 1)).logits.astype(np.float64)
            distances.append(np.abs(posterior - softmax(squeezed, axis=1)).sum(axis=1))
        return np.asarray(-np.max(distances, axis=0))
