"""Resize images to the size of an auxiliary network's input, linearly, so that the L2 operator norm is known."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from simdnn.arrays import FloatArray
from simdnn.smoothing.operator_norm import mean_norm, operator_norm

REDUCTION = "mean or bilinear"
"""The name of the method of `reduced` in a file."""


def reduced(images: Tensor, side: int) -> Tensor:
    """Resize images to the side of an auxiliary network's input.

    If the images are square and their side is k times that of the result, k an integer, this is the mean over k x k
    pixels, whose L2 operator norm is 1 / k. Otherwise it is an antialiased bilinear resize, whose norm is computed for
    each size (:mod:`simdnn.smoothing.operator_norm`). Nothing is rounded or clipped.

    Parameters
    ----------
    images
        Shape (N, C, H, W).
    side
        Height and width of the result, in pixels.

    Returns
    -------
    Tensor
        Shape (N, C, side, side). Gradients flow back.
    """
    height, width = images.shape[-2:]
    if height == width and height % side == 0:
        return avg_pool2d(images, height // side)
    return interpolate(images, size=(side, side), mode="bilinear", antialias=True)


@cache
def reduction_norm(height: int, width: int, side: int) -> float:
    """Return the L2 operator norm of `reduced` for images (N, C, height, width)."""
    if height == width and height % side == 0:
        return mean_norm(height // side)

    def resize(channel: FloatArray) -> FloatArray:
        small = reduced(torch.from_numpy(np.ascontiguousarray(channel))[None, None], side)
        return np.asarray(small[0, 0].numpy(), dtype=np.float64)

    return operator_norm(resize, height, width)
