"""Data augmentation: random crops of images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

SMALLEST = 0.6
"""Smallest width and height of a crop, as a share of the image's."""


def random_crops(images: Tensor, side: int) -> Tensor:
    """Mirror half of the images at random and crop each at random, to 60 to 100 % of its width and of its height.

    Parameters
    ----------
    images
        Shape (N, 3, H, W), uint8.
    side
        Height and width of the result, in pixels.

    Returns
    -------
    Tensor
        Shape (N, 3, side, side), float32 in [0, 1], on the images' device.
    """
    n = len(images)
    size = SMALLEST + (1 - SMALLEST) * torch.rand(n, 2)  # width and height of the crop
    centre = (torch.rand(n, 2) * 2 - 1) * (1 - size)
    size[:, 0] *= torch.where(torch.rand(n) < 0.5, -1, 1)
    affine = torch.zeros(n, 2, 3)
    affine[:, 0, 0], affine[:, 1, 1], affine[:, :, 2] = size[:, 0], size[:, 1], centre
    grid = affine_grid(affine, [n, 3, side, side], align_corners=False).to(images.device)
    return grid_sample(images.float() / 255, grid, padding_mode="reflection", align_corners=False).clamp(0, 1)
