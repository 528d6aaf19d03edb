"""Read one image file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from simdnn.errors import ImageKindError, ImageReadError, ImageTooLargeError
from simdnn.images.budget import in_flight
from simdnn.images.formats import FORMATS, begins_like_image
from simdnn.images.limits import (
    DEFAULT_LIMITS,
    MeteredBytes,
    ReadLimits,
    check_cost,
    check_kind,
    weighed_pixels,
)
from simdnn.images.pixels import as_rgb
from simdnn.images.quiet import quiet


def read_image(
    source: Path | bytes, *, max_pixels: int | None = None, limits: ReadLimits = DEFAULT_LIMITS
) -> Image.Image:
    """Read one image as a person would see it, see `decoded`.

    Parameters
    ----------
    source
        A regular file, or the bytes of an image file.
    max_pixels
        Replaces that of ``limits``.
    limits
        Checked before decoding. Pillow also refuses more than twice ``PIL.Image.MAX_IMAGE_PIXELS``.

    Returns
    -------
    PIL.Image.Image
        Mode ``RGB``.

    Raises
    ------
    ImageReadError
        If ``source`` is no readable image: an ImageTooLargeError for one beyond the limits, an ImageKindError for
        another kind of file. The message is one line, without the name of the file.
    """
    if max_pixels is not None:
        limits = replace(limits, max_pixels=max_pixels)
    with decoded(source, limits) as image:
        return image


@contextmanager
def decoded(source: Path | bytes, limits: ReadLimits = DEFAULT_LIMITS) -> Iterator[Image.Image]:
    """Read one image as a person would see it, and count its pixels against ``pixels_in_flight`` until the block ends.

    The formats are JPEG, PNG, GIF, BMP, binary PPM, TIFF and WebP, whatever the suffix of the file; of an animation or
    a file with several pages, the first image is read. Grey, palette, CMYK, LAB, transparent, 16-bit and EXIF-rotated
    images become upright 8-bit RGB by the rules of `simdnn.images.pixels`. Safe in threads, which wait for each other
    if the pixels in flight would exceed ``limits``; a thread must not read a second image inside the block. Pillow's
    warnings are suppressed, but libtiff may write a line about a damaged file to standard error.

    Parameters, result and errors are those of `read_image`.
    """
    data = source if isinstance(source, bytes) else read_bytes(source, limits.max_bytes)
    with ExitStack() as held:
        try:
            image = _decode(data, limits, held)
        except ImageReadError:
            raise
        except UnidentifiedImageError as error:
            kind = ImageReadError if begins_like_image(data) else ImageKindError
            raise kind(
                f"expected an image ({', '.join(FORMATS)}), got something else or a damaged header"
            ) from error
        except Image.DecompressionBombError as error:
            raise ImageTooLargeError(
                f"expected at most {limits.max_pixels:,} pixels, got more than Pillow accepts"
            ) from error
        except Exception as error:  # decoders raise almost any type on arbitrary bytes
            raise ImageReadError(
                f"the image is truncated, damaged or of an unknown kind: {one_line(error)}"
            ) from error
        yield image


def read_bytes(path: Path, max_bytes: int = DEFAULT_LIMITS.max_bytes) -> bytes:
    """Read a regular file of at most ``max_bytes`` bytes; a pipe, a device or a folder is never opened."""
    try:
        _check_regular(path.stat(), max_bytes)
        with open(path, "rb", opener=_without_waiting) as file:
            _check_regular(os.fstat(file.fileno()), max_bytes)  # the file may have been replaced since
            return file.read(max_bytes)
    except FileNotFoundError as error:
        raise ImageReadError("the file does not exist") from error
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ImageReadError(f"the file cannot be read: {one_line(reason)}") from error


def _check_regular(status: os.stat_result, max_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
        raise ImageReadError(f"expected a file, got {kind}")
    if status.st_size > max_bytes:
        raise ImageReadError(f"expected at most {max_bytes:,} bytes, got {status.st_size:,}")


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; do not wait for a writer if it is a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _decode(data: bytes, limits: ReadLimits, held: ExitStack) -> Image.Image:
    if not data:
        raise ImageReadError("the file is empty")
    check_kind(data)
    with quiet(), Image.open(MeteredBytes(data), formats=tuple(FORMATS)) as image:
        check_cost(image, data, limits.max_pixels)
        held.enter_context(in_flight.holding(weighed_pixels(image), limits.pixels_in_flight))
        return as_rgb(image)


def one_line(text: object) -> str:
    """Return an error's text as one printable line of at most 200 characters; without a text, its type."""
    words = " ".join(str(text).split()) or type(text).__name__
    return "".join(c if c.isprintable() else "?" for c in words[:200])
