"""Reading one image file."""

from __future__ import annotations

import io
import stat
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from simdnn.errors import ImageReadError
from simdnn.images.formats import FORMATS
from simdnn.images.limits import MAX_BYTES, MAX_PIXELS, check_cost
from simdnn.images.pixels import as_rgb
from simdnn.images.quiet import quiet


def read_image(source: Path | bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read one picture as a person would see it.

    JPEG, PNG, GIF, BMP, PPM, TIFF and WebP are read, whatever the file is called; of an animation or a file of
    several pages, the first picture. Grey, palette, CMYK, LAB, transparent, 16-bit and EXIF-rotated pictures become
    upright 8-bit RGB by the rules of `simdnn.images.pixels`. Safe in threads. Pillow's warnings are discarded;
    the TIFF library underneath it may still write a line on a damaged file to standard error.

    Parameters
    ----------
    source
        A regular file, or an image file's bytes.
    max_pixels
        The largest width times height, checked before decoding. Beyond twice ``PIL.Image.MAX_IMAGE_PIXELS``
        Pillow refuses as well.

    Returns
    -------
    PIL.Image.Image
        Mode ``RGB``.

    Raises
    ------
    ImageReadError
        If there is no readable picture in ``source``. The message is one line and does not name the file.
    """
    data = source if isinstance(source, bytes) else read_bytes(source)
    if not data:
        raise ImageReadError("the file is empty")
    try:
        return _decode(data, max_pixels)
    except ImageReadError:
        raise
    except UnidentifiedImageError as error:
        raise ImageReadError(
            f"expected an image ({', '.join(FORMATS)}), got something else or a damaged header"
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageReadError(
            f"expected at most {max_pixels:,} pixels, got more than Pillow accepts"
        ) from error
    except Exception as error:  # a decoder that is fed arbitrary bytes fails with almost any type
        raise ImageReadError(
            f"the image is truncated, damaged or of an unknown kind: {one_line(error)}"
        ) from error


def read_bytes(path: Path) -> bytes:
    """Read a regular file of sane size; a pipe, a device or a folder is never opened."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ImageReadError(
                f"expected a file, got {'a folder' if stat.S_ISDIR(status.st_mode) else 'a pipe or a device'}"
            )
        if status.st_size > MAX_BYTES:
            raise ImageReadError(f"expected at most {MAX_BYTES:,} bytes, got {status.st_size:,}")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImageReadError("the file does not exist") from error
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ImageReadError(f"the file cannot be read: {one_line(reason)}") from error


def _decode(data: bytes, max_pixels: int) -> Image.Image:
    with quiet(), Image.open(io.BytesIO(data), formats=tuple(FORMATS)) as image:
        check_cost(image, data, max_pixels)
        return as_rgb(image)


def one_line(text: object) -> str:
    """One short printable line of an error's text, or the error's type if it has none."""
    words = " ".join(str(text).split()) or type(text).__name__
    return "".join(c if c.isprintable() else "?" for c in words[:200])
