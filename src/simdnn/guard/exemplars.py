"""The training images that stand for the prototypes: their names and thumbnails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simdnn.errors import ImageReadError
from simdnn.images.reading import read_image

SIDE = 96
"""Longer side of a thumbnail, in pixels."""


@dataclass(frozen=True)
class Exemplar:
    """A training image as it is shown: its name and a thumbnail, JPEG bytes (none if it could not be made)."""

    name: str
    thumbnail: bytes = b""

    @property
    def picture(self) -> Image.Image:
        """The thumbnail; an empty square where there is none."""
        if not self.thumbnail:
            return Image.new("RGB", (SIDE, SIDE), "white")
        return read_image(self.thumbnail)


def exemplar(image: Path | Image.Image, name: str) -> Exemplar:
    """Make an exemplar of an image, or of an image file that may have gone since it was learned."""
    try:
        picture = read_image(image) if isinstance(image, Path) else image.convert("RGB")
    except ImageReadError:
        return Exemplar(name)
    # A whole factor keeps the pixels of small pictures, digits for instance, as they are.
    factor = max(1, SIDE // max(picture.size))
    picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    encoded = BytesIO()
    picture.save(encoded, "JPEG", quality=85)
    return Exemplar(name, encoded.getvalue())


def pack(exemplars: Mapping[int, Exemplar]) -> tuple[dict[str, str], dict[str, NDArray[np.generic]]]:
    """Return names by index, and tensors that hold the thumbnails one after the other."""
    order = sorted(exemplars)
    sizes = [len(exemplars[i].thumbnail) for i in order]
    blob = b"".join(exemplars[i].thumbnail for i in order)
    tensors: dict[str, NDArray[np.generic]] = {
        "thumbnails": np.frombuffer(blob, dtype=np.uint8),
        "thumbnail_ends": np.cumsum(sizes, dtype=np.int64),
    }
    return {str(i): exemplars[i].name for i in order}, tensors


def unpack(names: Mapping[str, str], blob: NDArray[np.uint8], ends: Sequence[int]) -> dict[int, Exemplar]:
    """Undo :func:`pack`; ValueError if the parts do not fit together."""
    raw, edges = blob.tobytes(), [0, *ends]
    if blob.dtype != np.uint8 or edges != sorted(edges) or blob.shape != (edges[-1],):
        raise ValueError("the thumbnails do not follow one another")
    if not all(
        index.isdecimal() and len(index) < 16 and isinstance(name, str) for index, name in names.items()
    ):
        raise ValueError("the thumbnails lack numbers and names")
    return {
        int(index): Exemplar(name, raw[start:end])
        for (index, name), (start, end) in zip(names.items(), pairwise(edges), strict=True)
    }
