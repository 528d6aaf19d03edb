"""Images in two parts: those that are learned, and those held out to measure what was learned."""

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
from simdnn.training.augment import random_parts
from simdnn.training.data import DecodedImages
from simdnn.training.vote import vote_accuracy


@dataclass(frozen=True)
class Parts:
    """Decoded images, on their way to a network.

    Attributes
    ----------
    images : all of them
    learned, held : places of the two parts among them
    side : of the images that the network takes
    device : where it is
    """

    images: DecodedImages
    learned: NDArray[np.int64]
    held: NDArray[np.int64]
    side: int
    device: torch.device

    @classmethod
    def of(cls, images: DecodedImages, share: float, seed: int, side: int, device: torch.device) -> Self:
        """Hold a share of each class out.

        With the share and seed of `simdnn fit`, and the same files, these are the images that calibrate there.
        """
        held = calibration_mask(np.array(images.classes)[images.labels], share, seed)
        return cls(images, np.flatnonzero(~held), np.flatnonzero(held), side, device)

    @property
    def digest(self) -> str:
        """SHA-256 of what is learned: the files and their labels."""
        labels = self.images.labels[self.learned].tolist()
        lines = (f"{name} {label}\n" for name, label in zip(self.hashes, labels, strict=True))
        return sha256("".join(lines).encode()).hexdigest()

    @property
    def hashes(self) -> list[str]:
        """SHA-256 of the files that are learned."""
        return [str(text) for text in self.images.hashes[self.learned]]

    def random(self, rows: NDArray[np.int64]) -> Tensor:
        """Return random parts of images that are learned, by their places among these."""
        return random_parts(self.images.batch(self.learned[rows]).to(self.device), self.side)

    def whole(self, chosen: NDArray[np.int64]) -> Tensor:
        """Return whole images (n, 3, side, side), float32 in [0, 1], by their places among all."""
        pixels = self.images.batch(chosen).to(self.device).float() / 255
        return reduced(pixels, self.side)

    def accuracy(self, network: nn.Module, sigma: float, draws: int) -> Estimate:
        """Return how often the majority vote is right on the images held out."""
        labels = self.images.labels[self.held]
        return vote_accuracy(network, lambda rows: self.whole(self.held[rows]), labels, sigma, draws=draws)


def check_held_out(data: Path, share: float, seed: int) -> tuple[str, ...]:
    """Return the classes of the data, before any image is read; InputError if one has too few to hold any out."""
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
