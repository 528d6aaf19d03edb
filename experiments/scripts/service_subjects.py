"""Guards and images with which scripts try the service."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from local_networks import network
from simdnn.digits import IN_UNITS, train_network, write_digits
from simdnn.guard.guard import Guard
from simdnn.images.files import find_images
from simdnn.images.picture import picture_of
from simdnn.networks.backbone import load_backbone
from simdnn.networks.cache import FeatureCache, default_cache
from simdnn.networks.digits import SIDE
from simdnn.networks.extractor import Extractor

NETWORK = "simdnn.networks.digits:digits_network"


class Subject(NamedTuple):
    """A guard, clean images that it has not learned, and the names of its network's outputs."""

    guard: Guard
    images: list[Path]
    names: list[str]


def digits(folder: Path) -> Subject:
    """Write scikit-learn's digits into a folder, and train a network and a guard on them."""
    write_digits(folder)
    train_network(folder / "network", folder / "weights.safetensors")
    backbone = load_backbone(
        NETWORK, folder / "weights.safetensors", size=SIDE, mean=IN_UNITS.mean, std=IN_UNITS.std
    )
    guard = Guard.fit(folder / "train", Extractor([backbone]), view_seed=0)
    return Subject(guard, find_images([folder / "test"]), [str(digit) for digit in range(10)])


def photographs(data: Path) -> Subject:
    """Fit a guard on the photographs among the data."""
    extractor = Extractor([network("mobilenet_v2", data)], cache=FeatureCache(default_cache()))
    guard = Guard.fit(data / "imagenette224" / "train", extractor, rule="similarity")
    names = guard.networks[0].categories or guard.classes
    return Subject(guard, find_images([data / "imagenette224" / "val"]), list(names))


def as_png(image: Tensor) -> bytes:
    """Return an image file of (3, H, W) pixels in [0, 1]."""
    content = BytesIO()
    picture_of(image.detach().clamp(0, 1)).save(content, "PNG")
    return content.getvalue()
