"""How much work one image file may ask for, decided before it is decoded.

A file of a few kilobytes can unfold to gigabytes of pixels, or keep a decoder busy for hours.
"""

from __future__ import annotations

from PIL import Image

from simdnn.errors import ImageReadError

MAX_BYTES = 1 << 30
"""Files of more bytes are refused before they are read."""

MAX_PIXELS = 150_000_000
"""Pictures of more pixels are refused before they are decoded."""

_MAX_SCANS = 50  # a progressive JPEG has about ten
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_START_OF_SCAN = b"\xff\xda"


def check_cost(image: Image.Image, data: bytes, max_pixels: int) -> None:
    """Refuse a picture that is too costly to decode.

    Parameters
    ----------
    image
        Opened, so that its header is known, but not yet decoded.
    data
        The file's bytes.
    max_pixels
        Bound on width times height of the picture, and of the tiles that a TIFF is cut into: a tile may be larger
        than the picture. A JPEG may come in many scans, each of which costs as much time as the whole picture while
        it takes a hundred bytes; scans times pixels are bounded as well.

    Raises
    ------
    ImageReadError
        If a bound is passed.
    """
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise ImageReadError(
            f"expected at most {max_pixels:,} pixels, got {image.width:,} x {image.height:,}"
        )
    tags = getattr(image, "tag_v2", {})
    width, height = tags.get(_TILE_WIDTH, 0), tags.get(_TILE_LENGTH, 0)
    if width * height > max_pixels:
        raise ImageReadError(f"expected tiles of at most {max_pixels:,} pixels, got {width:,} x {height:,}")
    scans = data.count(_START_OF_SCAN) if data.startswith(b"\xff\xd8") else 1
    if scans * pixels > _MAX_SCANS * max_pixels:
        raise ImageReadError(f"expected a JPEG of about ten scans, got {scans:,}, which would take too long")
