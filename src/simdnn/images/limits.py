"""How much work one image file may ask for, decided before it is decoded.

A file of a few bytes can unfold to gigabytes of pixels, or keep a decoder busy for hours.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, fields

from PIL import Image

from simdnn.errors import ImageReadError, InputError


@dataclass(frozen=True)
class ReadLimits:
    """Bounds on what reading images may take.

    Pixels are weighed: one of a WebP or of a picture with more than 8 bits a channel counts as three, for its decoder
    keeps the picture several times; one that Pillow decodes in Python counts as thirty, for the time that it takes. A
    weighed pixel takes about 9 bytes while it is read.

    Attributes
    ----------
    max_pixels
        Weighed pixels of one picture.
    max_bytes
        Bytes of one file.
    pixels_in_flight
        Weighed pixels that are decoded at once by all threads of the process; a thread waits for its turn. One
        picture alone is always let through.

    Raises
    ------
    InputError
        If a bound is no positive integer.
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

_MANY_COPIES = 3  # of the picture in the memory
_IN_PYTHON = 30  # times as slow as a decoder in C
_PYTHON_DECODERS = frozenset({"ppm", "bmp_rle"})
_MAX_SCANS = 20  # a progressive JPEG has about ten
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_START_OF_SCAN = b"\xff\xda"
_PLAIN = re.compile(rb"P[123][\s#]")


class MeteredBytes(io.BytesIO):
    """A file's bytes, for a parser written in Python: it ends with an ImageReadError after too many small reads.

    Segments of four bytes each, or a remark that is read byte by byte, would keep such a parser busy for minutes.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = 10_000 + len(data) // 500

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as `io.BytesIO` does."""
        self._left -= 1
        if self._left < 0:
            raise ImageReadError(
                "expected an image, got one in so many tiny parts that it would take too long"
            )
        return super().read(size)


def check_kind(data: bytes) -> None:
    """Refuse, by ImageReadError, a kind of file whose decoding takes the square of its length."""
    if _PLAIN.match(data):
        raise ImageReadError(
            "expected a binary PBM, PGM or PPM file, got one in plain text, which takes too long to read; save it "
            "as PNG"
        )


def weighed_pixels(image: Image.Image) -> int:
    """Return what an opened picture counts against `ReadLimits`, by its header."""
    decoders = {tile[0] for tile in getattr(image, "tile", ())}
    if decoders & _PYTHON_DECODERS:
        weight = _IN_PYTHON
    elif image.format == "WEBP" or image.mode == "F" or image.mode.startswith("I"):
        weight = _MANY_COPIES
    else:
        weight = 1
    return weight * image.width * image.height


def check_cost(image: Image.Image, data: bytes, max_pixels: int) -> None:
    """Refuse a picture that is too costly to decode.

    Parameters
    ----------
    image
        Opened, so that its header is known, but not yet decoded.
    data
        The file's bytes.
    max_pixels
        Bound on the weighed pixels of the picture, and on those of the tiles that a TIFF is cut into: a tile may be
        larger than the picture. A JPEG may come in many scans, each of which costs as much time as the whole picture
        while it takes a hundred bytes; scans times pixels are bounded as well.

    Raises
    ------
    ImageReadError
        If a bound is passed.
    """
    pixels = image.width * image.height
    weight = weighed_pixels(image) // max(pixels, 1)
    if weight * pixels > max_pixels:
        of_its_kind = f" in such a {image.format} file" if weight > 1 else ""
        raise ImageReadError(
            f"expected at most {max_pixels // weight:,} pixels{of_its_kind}, got {image.width:,} x "
            f"{image.height:,}"
        )
    tags = getattr(image, "tag_v2", {})
    width, height = tags.get(_TILE_WIDTH, 0), tags.get(_TILE_LENGTH, 0)
    if width * height > max_pixels:
        raise ImageReadError(f"expected tiles of at most {max_pixels:,} pixels, got {width:,} x {height:,}")
    scans = data.count(_START_OF_SCAN) if data.startswith(b"\xff\xd8") else 1
    if scans * pixels > _MAX_SCANS * max_pixels:
        raise ImageReadError(f"expected a JPEG of about ten scans, got {scans:,}, which would take too long")
