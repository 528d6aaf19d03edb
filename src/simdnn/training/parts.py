"""The split of images into a training part and a part held out to measure accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from simdnn.errors import InputError
from simdnn.evaluation.intervals import Estimate
from simdnn.images.files import labelled_images
from simdnn.networks.reduction import reduced
from simdnn.paper.holdout import calibration_mask
from simdnn.progress import Progress
from simdnn.training.augment import random_crops
from simdnn.training.data import DecodedImages
from simdnn.training.vote import vote_accuracy


@dataclass(frozen=True)
class Parts:
    """Decoded images, split into a training part and a held-out part.

    Attributes
    ----------
    images : all N images
    learned, held : indices of the two parts
    side : height and width of the images that the network takes, in pixels
    device : device of the network
    """

    images: DecodedImages
    learned: NDArray[np.int64]
    held: NDArray[np.int64]
    side: int
    device: torch.device

    @classmethod
    def of(cls, images: DecodedImages, share: float, seed: int, side: int, device: torch.device) -> Self:
        """Hold out a share of each class, in (0, 0.5].

        With the same files, share and seed, `simdnn fit` calibrates on the same images.
        """
        held = calibration_mask(np.array(images.classes)[images.labels], share, seed)
        return cls(images, np.flatnonzero(~held), np.flatnonzero(held), side, device)

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the training part: the files and their labels."""
        labels = self.images.labels[self.learned].tolist()
        lines = (f"{name} {label}\n" for name, label in zip(self.hashes, labels, strict=True))
        return sha256("".join(lines).encode()).hexdigest()

    @property
    def hashes(self) -> list[str]:
        """SHA-256, in hexadecimal, of each file of the training part."""
        return [str(text) for text in self.images.hashes[self.learned]]

    def random(self, rows: NDArray[np.int64]) -> Tensor:
        """Return random crops (n, 3, side, side), float32 in [0, 1], of training images; (n,) indices among these."""
        return random_crops(self.images.batch(self.learned[rows]).to(self.device), self.side)

    def whole(self, rows: NDArray[np.int64]) -> Tensor:
        """Return whole images (n, 3, side, side), float32 in [0, 1]; (n,) indices among all images."""
        pixels = self.images.batch(rows).to(self.device).float() / 255
        return reduced(pixels, self.side)

    def accuracy(
        self, network: nn.Module, sigma: float, draws: int, progress: Progress | None = None
    ) -> Estimate:
        """Return the accuracy of the majority vote on the images held out."""
        labels = self.images.labels[self.held]
        return vote_accuracy(
            network,
            lambda rows: self.whole(self.held[rows]),
            labels,
            sigma,
            draws=draws,
            progress=progress,
        )


def check_held_out(data: Path, share: float, seed: int) -> tuple[str, ...]:
    """Return the classes of the data, sorted, before any image is read.

    Raises
    ------
    InputError
        If a class has too few images to hold any out.
    """
    labels = np.array(labelled_images(data)[1])
    classes, counts = np.unique(labels, return_counts=True)
    held = calibration_mask(labels, share, seed)
    for name, count in zip(classes.tolist(), counts.tolist(), strict=True):
        if not held[labels == name].any():
            raise InputError(
                f"expected enough images of each class to hold {share:.0%} out, got {count} of {name}; add images "
                "or hold out more"
            )
    return tuple(classes.tolist())
