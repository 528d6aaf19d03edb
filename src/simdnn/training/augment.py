"""Random parts of images, so that a network meets no image twice."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

SMALLEST = 0.6
"""Least share of each side of an image that a random part has."""


def random_parts(images: Tensor, side: int) -> Tensor:
    """Mirror half of the images and cut a random part of each, 60 to 100 per cent of its width and of its height.

    Parameters
    ----------
    images
        Shape (N, 3, H, W), uint8.
    side
        Height and width of the result.

    Returns
    -------
    Tensor
        Shape (N, 3, side, side), float32 in [0, 1], on the images' device.
    """
    n = len(images)
    size = SMALLEST + (1 - SMALLEST) * torch.rand(n, 2)  # width and height of the part
    centre = (torch.rand(n, 2) * 2 - 1) * (1 - size)
    size[:, 0] *= torch.where(torch.rand(n) < 0.5, -1, 1)
    where = torch.zeros(n, 2, 3)
    where[:, 0, 0], where[:, 1, 1], where[:, :, 2] = size[:, 0], size[:, 1], centre
    grid = affine_grid(where, [n, 3, side, side], align_corners=False).to(images.device)
    return grid_sample(images.float() / 255, grid, padding_mode="reflection", align_corners=False).clamp(0, 1)
