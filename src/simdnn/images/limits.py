"""Limits on the memory and time that one image file may need, checked before it is decoded.

A file of a few bytes can decompress to gigabytes of pixels, or keep a decoder busy for hours.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, fields

from PIL import Image

from simdnn.errors import ImageKindError, ImageReadError, ImageTooLargeError, InputError


@dataclass(frozen=True)
class ReadLimits:
    """Limits on reading images.

    Pixels are weighted: a pixel of a WebP, or with more than 8 bits a channel, counts as three, since the decoder keeps
    several copies of the image; a pixel that Pillow decodes in Python counts as thirty, for the time that it takes.
    Reading needs about 9 bytes per weighted pixel.

    Attributes
    ----------
    max_pixels
        Weighted pixels of one image.
    max_bytes
        Bytes of one file.
    pixels_in_flight
        Weighted pixels that all threads of the process decode at once; a thread waits for its turn. A single image is
        always decoded, however large.

    Raises
    ------
    InputError
        If a limit is not a positive integer.
    """

    max_pixels: int = 150_000_000
    max_bytes: int = 1 << 28
    pixels_in_flight: int = 150_000_000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"expected {field.name} as a positive integer, got {value!r}")


DEFAULT_LIMITS = ReadLimits()

_MANY_COPIES = 3  # copies of the image in memory
_IN_PYTHON = 30  # times as slow as a decoder in C
_PYTHON_DECODERS = frozenset({"ppm", "bmp_rle"})
_MAX_SCANS = 20  # a progressive JPEG has about ten
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_START_OF_SCAN = b"\xff\xda"
_PLAIN = re.compile(rb"P[123][\s#]")


class MeteredBytes(io.BytesIO):
    """Bytes of a file that raise an ImageReadError after too many reads, to protect parsers written in Python.

    Segments of four bytes each, or a comment that is read byte by byte, would keep such a parser busy for minutes.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = 10_000 + len(data) // 500

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as `io.BytesIO` does; ImageReadError after too many calls."""
        self._left -= 1
        if self._left < 0:
            raise ImageReadError(
                "expected an image, got one in so many tiny parts that it would take too long"
            )
        return super().read(size)


def check_kind(data: bytes) -> None:
    """Raise ImageKindError for plain-text PBM, PGM and PPM, whose decoding time is quadratic in the file's length."""
    if _PLAIN.match(data):
        raise ImageKindError(
            "expected a binary PBM, PGM or PPM file, got one in plain text, which takes too long to read; save it "
            "as PNG"
        )


def weighed_pixels(image: Image.Image) -> int:
    """Return the weighted pixels of an opened image, by its header; see `ReadLimits`."""
    decoders = {tile[0] for tile in getattr(image, "tile", ())}
    if decoders & _PYTHON_DECODERS:
        weight = _IN_PYTHON
    elif image.format == "WEBP" or image.mode == "F" or image.mode.startswith("I"):
        weight = _MANY_COPIES
    else:
        weight = 1
    return weight * image.width * image.height


def check_cost(image: Image.Image, data: bytes, max_pixels: int) -> None:
    """Refuse an image that is too costly to decode.

    Parameters
    ----------
    image
        Opened, so that its header is known, but not yet decoded.
    data
        The file's bytes.
    max_pixels
        Limit on the weighted pixels of the image, and of a tile of a TIFF, which may be larger than the image. For a
        JPEG, scans times pixels are limited as well: each scan takes as much time as decoding the whole image, and
        may be only a hundred bytes long.

    Raises
    ------
    ImageTooLargeError
        If a limit is exceeded.
    """
    pixels = image.width * image.height
    weight = weighed_pixels(image) // max(pixels, 1)
    if weight * pixels > max_pixels:
        of_its_kind = f" in such a {image.format} file" if weight > 1 else ""
        raise ImageTooLargeError(
            f"expected at most {max_pixels // weight:,} pixels{of_its_kind}, got {image.width:,} x "
            f"{image.height:,}"
        )
    tags = getattr(image, "tag_v2", {})
    width, height = tags.get(_TILE_WIDTH, 0), tags.get(_TILE_LENGTH, 0)
    if width * height > max_pixels:
        raise ImageTooLargeError(
            f"expected tiles of at most {max_pixels:,} pixels, got {width:,} x {height:,}"
        )
    scans = data.count(_START_OF_SCAN) if data.startswith(b"\xff\xd8") else 1
    if scans * pixels > _MAX_SCANS * max_pixels:
        raise ImageTooLargeError(
            f"expected a JPEG of about ten scans, got {scans:,}, which would take too long"
        )
