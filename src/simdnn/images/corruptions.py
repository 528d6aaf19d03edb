"""Harmless corruptions of images, such as JPEG compression, which a detector of attacks should not flag."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor
from torchvision.transforms.v2 import functional

from simdnn.images.picture import picture_of

Corruption = Callable[[Tensor, Generator], Tensor]
"""From an image (3, H, W) in [0, 1] to a corrupted one, which may leave [0, 1]; the generator draws random numbers."""


def noise(eps: float) -> Corruption:
    """Add uniform noise of at most ``eps`` to every value."""

    def change(image: Tensor, draw: Generator) -> Tensor:
        return image + eps * (2 * torch.rand(image.shape, generator=draw) - 1)

    return change


def sign_noise(eps: float) -> Corruption:
    """Add or subtract ``eps`` at random from every value: as large, in every norm, as FGSM with that ``eps``."""

    def change(image: Tensor, draw: Generator) -> Tensor:
        return image + eps * (2.0 * torch.randint(2, image.shape, generator=draw) - 1)

    return change


def resized(image: Tensor, draw: Generator) -> Tensor:
    """Shrink an image by a tenth, and enlarge it to its old size."""
    del draw
    height, width = image.shape[-2:]
    smaller = functional.resize(image, [height * 9 // 10, width * 9 // 10], antialias=True)
    return Tensor(functional.resize(smaller, [height, width], antialias=True))


def cropped(image: Tensor, draw: Generator) -> Tensor:
    """Crop a twentieth off each edge, and enlarge the rest to the old size."""
    del draw
    height, width = image.shape[-2:]
    rest = functional.center_crop(image, [height * 9 // 10, width * 9 // 10])
    return Tensor(functional.resize(rest, [height, width], antialias=True))


def recompressed(image: Tensor, draw: Generator) -> Tensor:
    """Compress an image as a JPEG of quality 75."""
    del draw
    encoded = BytesIO()
    picture_of(image.clamp(0, 1)).save(encoded, "JPEG", quality=75)
    return torch.from_numpy(np.array(Image.open(encoded))).permute(2, 0, 1).float() / 255


def brightened(image: Tensor, draw: Generator) -> Tensor:
    """Make an image brighter by 15 per cent."""
    del draw
    return image * 1.15


def contrasted(image: Tensor, draw: Generator) -> Tensor:
    """Raise the contrast by 15 per cent."""
    del draw
    return Tensor(functional.adjust_contrast(image, 1.15))


def blurred(image: Tensor, draw: Generator) -> Tensor:
    """Blur an image by a Gaussian with a standard deviation of half a pixel."""
    del draw
    return Tensor(functional.gaussian_blur(image, [3, 3], [0.5, 0.5]))


CORRUPTIONS: Mapping[str, Corruption] = {
    "noise 0.01": noise(0.01),
    "noise 0.02": noise(0.02),
    "sign noise 3/255": sign_noise(3 / 255),
    "sign noise 5/255": sign_noise(5 / 255),
    "resized": resized,
    "cropped": cropped,
    "JPEG 75": recompressed,
    "brighter": brightened,
    "contrast": contrasted,
    "blurred": blurred,
}
"""Corruptions by name; a rule may calibrate on them."""

CONTROLS: Mapping[str, Corruption] = {
    **CORRUPTIONS,
    "noise 0.04": noise(0.04),
    "sign noise 10/255": sign_noise(10 / 255),
}
"""What a benchmark may show besides attacks: the corruptions, and larger noise, which no rule calibrates on."""


def corrupt(name: str, image: Tensor, draw: Generator) -> Tensor:
    """Corrupt an image (3, H, W) in [0, 1], and round it to multiples of 1/255, as an image file holds it."""
    return (CONTROLS[name](image, draw).clamp(0, 1) * 255).round() / 255


def generator_for(image_sha256: str, seed: int) -> Generator:
    """Return the random generator for one image's corruption; it does not depend on other images."""
    digest = sha256(f"{seed} {image_sha256}".encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
