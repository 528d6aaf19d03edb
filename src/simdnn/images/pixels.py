"""Convert any image that Pillow decodes to the 8-bit RGB that a person would see.

The rules, where Pillow's own conversion clips, drops or warns:

- Transparent images are drawn over white, as on a page. The hidden colours of transparent pixels never reach the
  network, since a person could not see an attack there.
- 16-bit grey keeps its high byte, as Pillow does for 16-bit colour: 65535 becomes 255, 0 becomes 0.
- 16-bit pixels that all lie below a quarter of white are read as they are, with one warning on the log: they may be a
  night scene, or 10, 12 or 14 bits that nobody scaled, whose white no tag declares.
- Floating-point grey must lie in [0, 1]. 32-bit integers and signed ones are refused, since there is no convention for
  their white.
- Colour profiles are not applied, as they were not for the networks' training data.
"""

from __future__ import annotations

import logging
from functools import cache

import numpy as np
from PIL import Image

from simdnn.errors import ImageReadError

_log = logging.getLogger(__name__)
_ROWS = 256
_EXIF_ORIENTATION = 0x0112
_TIFF_BITS, _TIFF_PHOTOMETRIC = 258, 262
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def as_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to upright 8-bit RGB.

    Parameters
    ----------
    image
        The image as Pillow opened it, with its metadata.

    Returns
    -------
    PIL.Image.Image
        Mode ``RGB``, rotated by its EXIF orientation.

    Raises
    ------
    ImageReadError
        If it is not known which value is white, or which pixels are transparent.

    Examples
    --------
    >>> as_rgb(Image.new("LA", (1, 1), (0, 0))).getpixel((0, 0))
    (255, 255, 255)
    """
    raw = [str(tile[3]) for tile in getattr(image, "tile", ())]  # lost once the image is loaded
    deep = any(";16" in mode for mode in raw)
    image.load()
    _scale_clear_value(image, raw)
    turn = _UPRIGHT.get(_orientation(image))
    if image.mode == "F" or image.mode.startswith("I"):
        rgb = _deep_grey(image).convert("RGB")
    else:
        if deep:
            _check_range(_brightest(image), 8)
        rgb = _over_white(image) if image.has_transparency_data else image.convert("RGB")
    return rgb if turn is None else rgb.transpose(turn)


def _scale_clear_value(image: Image.Image, raw: list[str]) -> None:
    """Bring the one transparent value of a PNG to the 8 bits that Pillow has brought the pixels to, but not that value.

    ImageReadError for 16-bit colour, where pixels that differ by their low bytes alone are the same by now.
    """
    clear = image.info.get("transparency")
    if isinstance(clear, tuple) and any(mode.startswith("RGB;16") for mode in raw):
        raise ImageReadError(
            "expected 16-bit colour without a transparent colour, as its low bytes are not read; save it with 8 bits, "
            "or with an alpha channel"
        )
    for mode, factor in (("L;2", 85), ("L;4", 17)):
        if isinstance(clear, int) and mode in raw:
            image.info["transparency"] = clear * factor


def _over_white(image: Image.Image) -> Image.Image:
    """Draw a transparent image over white, some rows at a time to save memory."""
    rgb = Image.new("RGB", image.size)
    for top in range(0, image.height, _ROWS):
        rows = image.crop((0, top, image.width, min(top + _ROWS, image.height))).convert("RGBA")
        page = Image.new("RGBA", rows.size, "white")
        rgb.paste(Image.alpha_composite(page, rows).convert("RGB"), (0, top))
    return rgb


def _brightest(image: Image.Image) -> int:
    """Return the largest value of all channels except transparency."""
    return max(int(np.asarray(image.getchannel(band)).max()) for band in image.getbands() if band not in "Aa")


def _check_range(brightest: int, bits: int) -> None:
    """Warn, once, of 16-bit pixels, now reduced to ``bits`` bits, that seem to hold fewer bits without scaling."""
    if 0 < brightest < 1 << (bits - 2):
        _warn_of_unscaled_pixels()


@cache
def _warn_of_unscaled_pixels() -> None:
    _log.warning(
        "an image of 16 bits a pixel is nearly black: no value reaches a quarter of white, 65,535. If its data have "
        "10, 12 or 14 bits, scale them to 16, for the network sees it as it is"
    )


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1, upright, if the metadata are missing or damaged."""
    try:
        value = image.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # the parser raises almost any type on damaged bytes
        return 1
    return value if isinstance(value, int) else 1


def _deep_grey(image: Image.Image) -> Image.Image:
    """Scale grey of more than 8 bits to mode ``L``."""
    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    if image.mode == "F":
        if not (values.min() >= 0 and values.max() <= 1):  # written so that NaN fails too
            raise ImageReadError(
                "expected floating-point pixels in [0, 1], got others; save the image with 8 or 16 bits"
            )
        grey = np.rint(values * 255).astype(np.uint8)
    elif image.mode == "I" and tags:
        raise ImageReadError(
            "expected unsigned pixels of at most 16 bits, got signed or 32-bit ones, for which no white is defined; "
            "save the image with 8 or 16 bits"
        )
    else:
        bits = tags.get(_TIFF_BITS, (16,))[0]
        if bits == 16:
            _check_range(int(values.max()), 16)
        grey = (values >> (bits - 8)).astype(np.uint8)
    if tags.get(_TIFF_PHOTOMETRIC) == 0:  # white is zero; Pillow inverts 8 bits but not these
        grey = 255 - grey
    if "transparency" in image.info:
        grey = np.where(values == image.info["transparency"], np.uint8(255), grey)
    return Image.fromarray(grey)
