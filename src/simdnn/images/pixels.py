"""Any picture that Pillow decodes, as the 8-bit RGB that a person would see.

The rules, where Pillow's own conversion clips, drops or warns:

- Transparency is laid over white, as on a page. The colours hidden under a transparent pixel never reach the network:
  nobody who looks at the picture could see an attack that lies there.
- 16-bit grey keeps its high byte, as Pillow does for 16-bit colour: 65535 becomes 255, 0 becomes 0.
- Floating-point grey must lie in [0, 1]. Integers of 32 bits, and signed ones, are refused: no value of theirs is
  agreed to be white.
- Colour profiles are not applied; the data that the networks learned from was not corrected either.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from simdnn.errors import ImageReadError

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
    """Convert a decoded picture of any mode to upright 8-bit RGB.

    Parameters
    ----------
    image
        A picture as Pillow opened it, with its metadata.

    Returns
    -------
    PIL.Image.Image
        Mode ``RGB``, turned as its EXIF orientation asks.

    Raises
    ------
    ImageReadError
        If the pixels have no agreed white.

    Examples
    --------
    >>> as_rgb(Image.new("LA", (1, 1), (0, 0))).getpixel((0, 0))
    (255, 255, 255)
    """
    image.load()
    turn = _UPRIGHT.get(_orientation(image))
    if image.mode == "F" or image.mode.startswith("I"):
        rgb = _deep_grey(image).convert("RGB")
    elif image.has_transparency_data:
        page = Image.new("RGBA", image.size, "white")
        rgb = Image.alpha_composite(page, image.convert("RGBA")).convert("RGB")
    else:
        rgb = image.convert("RGB")
    return rgb if turn is None else rgb.transpose(turn)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; damaged metadata count as upright, since the picture itself is sound."""
    try:
        value = image.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # the parser meets whatever bytes a file holds and fails in many ways
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
            "expected pixels of at most 16 bits, unsigned, got signed or 32-bit ones, of which none is agreed "
            "to be white; save the image with 8 or 16 bits"
        )
    else:
        grey = (values >> (tags.get(_TIFF_BITS, (16,))[0] - 8)).astype(np.uint8)
    if tags.get(_TIFF_PHOTOMETRIC) == 0:  # white is zero; Pillow inverts 8 bits but not these
        grey = 255 - grey
    if "transparency" in image.info:
        grey = np.where(values == image.info["transparency"], np.uint8(255), grey)
    return Image.fromarray(grey)
