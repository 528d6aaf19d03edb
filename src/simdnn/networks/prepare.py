"""Images before the networks: their pixels for each network, and those of a corrupted copy; this runs in threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image as Pillow

from simdnn.errors import ImageReadError
from simdnn.images.limits import ReadLimits
from simdnn.images.picture import picture_of
from simdnn.images.preprocess import Preprocess
from simdnn.images.reading import decoded, read_bytes
from simdnn.networks.cache import FeatureCache, Row
from simdnn.networks.voter import Pixels

if TYPE_CHECKING:
    from torch import Tensor

Image: TypeAlias = "Path | str | bytes | Pixels | Tensor"
"""A file, a file's bytes, or pixels (3, H, W) in [0, 1] of the size that the network takes, of any float type."""


@dataclass(frozen=True)
class Copy:
    """A harmlessly corrupted copy that goes through the networks beside an image.

    Attributes
    ----------
    corruption : its name
    seed : of its random numbers
    """

    corruption: str
    seed: int


@dataclass(frozen=True)
class Prepared:
    """One image, or its corrupted copy: its pixels for each network, what the cache has of it, or what is wrong.

    Attributes
    ----------
    position : of the image in the given list
    pixels : (3, H, W) for each network
    corruption, image_sha256 : see :class:`simdnn.networks.batch.Batch`
    key, row : where the cache keeps it, and what is there
    data : the file's bytes, where they were asked for
    error : why the image was not read
    """

    position: int
    pixels: tuple[Pixels, ...] = ()
    corruption: str = ""
    image_sha256: str = ""
    key: str | None = None
    row: Row | None = None
    data: bytes = b""
    error: str | None = None


def prepare(
    image: Image,
    position: int,
    preprocesses: Sequence[Preprocess],
    *,
    copy: Copy | None,
    cache: FeatureCache | None,
    fingerprint: str,
    pixels: bool,
    keep_bytes: bool,
    limits: ReadLimits,
) -> list[Prepared]:
    """Read one image, and corrupt it; what the cache has of it is not made again.

    Parameters
    ----------
    image, position : the image, and its place in the given list
    preprocesses : of each network
    copy : the corrupted copy to make of it
    cache, fingerprint : where rows are kept, and what the keys are made of besides the image
    pixels : whether pixels are needed even of what the cache has
    keep_bytes : whether the file's bytes are needed, too
    limits : bounds on what reading may take
    """
    try:
        if not isinstance(image, (bytes, str, Path)):
            return [Prepared(position, tuple(checked_pixels(image, p.size) for p in preprocesses))]
        data = image if isinstance(image, bytes) else read_bytes(Path(image), limits.max_bytes)
        digest = sha256(data).hexdigest()
        wanted = [""] if copy is None else ["", copy.corruption]
        keys = [
            None if cache is None else _key(digest, copy if name else None, fingerprint) for name in wanted
        ]
        rows = [None if cache is None or pixels or key is None else cache.get(key) for key in keys]
        if None not in rows:
            made: list[tuple[Pixels, ...]] = [() for _ in wanted]
        else:
            with decoded(data, limits) as picture:
                made = [
                    () if row is not None else _pixels(picture, preprocesses, digest, copy if name else None)
                    for name, row in zip(wanted, rows, strict=True)
                ]
    except ImageReadError as error:
        return [Prepared(position, error=str(error))]
    return [
        Prepared(position, own, name, digest, key, row, data if keep_bytes else b"")
        for own, name, key, row in zip(made, wanted, keys, rows, strict=True)
    ]


def _pixels(
    picture: Pillow.Image, preprocesses: Sequence[Preprocess], digest: str, copy: Copy | None
) -> tuple[Pixels, ...]:
    """Return what each network takes of a picture, or of its corrupted copy as a file would hold it."""
    if copy is not None:
        from simdnn.images.corruptions import corrupt, generator_for  # needs PyTorch

        changed = corrupt(copy.corruption, preprocesses[0](picture), generator_for(digest, copy.seed))
        picture = picture_of(changed)
    return tuple(preprocess.pixels(picture) for preprocess in preprocesses)


def _key(digest: str, copy: Copy | None, fingerprint: str) -> str:
    return f"{digest}{'' if copy is None else f':{copy.corruption}:{copy.seed}'}:{fingerprint}"


def checked_pixels(pixels: Pixels | Tensor, size: tuple[int, int]) -> Pixels:
    """Return pixels (3, height, width) as float32; ImageReadError if they are anything else."""
    given = pixels if isinstance(pixels, np.ndarray) else pixels.detach().cpu()
    floating = given.dtype.kind == "f" if isinstance(given, np.ndarray) else given.is_floating_point()
    if tuple(given.shape) != (3, *size) or not floating:
        raise ImageReadError(
            f"expected floating-point pixels of shape {(3, *size)}, got {given.dtype} {tuple(given.shape)}"
        )
    values: Pixels = given.astype(np.float32) if isinstance(given, np.ndarray) else given.float().numpy()
    if not (values.min() >= 0 and values.max() <= 1):  # written so that NaN fails too
        raise ImageReadError(f"expected pixels in [0, 1], got {values.min():.3g} to {values.max():.3g}")
    return values
