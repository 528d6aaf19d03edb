"""A small network and a small folder of images, on which training takes a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn


def write_stripes(folder: Path, per_class: int = 10, side: int = 32) -> Path:
    """Write two classes: stripes that lie, and stripes that stand, with noise of their own on each."""
    draw = np.random.default_rng(0)
    rows = np.where(np.arange(side) // 4 % 2 == 0, 60, 190)
    for name, pattern in (("lying", np.tile(rows[:, None], side)), ("standing", np.tile(rows, (side, 1)))):
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            noisy = pattern[..., None] + draw.integers(-40, 40, (side, side, 3))
            Image.fromarray(noisy.astype(np.uint8)).save(folder / name / f"{number:03}.png")
    return folder


class Small(nn.Module):
    """A convolution, a batch norm and a linear layer: logits (N, 2) of images (N, 3, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.head(self.norm(self.convolution(images)).relu().amax(dim=(2, 3)))
        return out


def small_network(seed: int = 0) -> Small:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Small()
