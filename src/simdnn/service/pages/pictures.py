"""Pictures on the pages: each is decoded within limits and encoded anew, so that no uploaded byte reaches a browser."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageFilter

from simdnn.images.limits import ReadLimits
from simdnn.images.reading import decoded

THUMBNAIL, LARGE = 192, 1024
"""Longer side of a picture in the grid, and on its own page, in pixels."""
GAIN = 8
"""Factor by which the difference to the denoised view is amplified."""


def picture(data: bytes, side: int, limits: ReadLimits) -> bytes:
    """Return a PNG picture of an image, at most so large; ImageReadError if it cannot be read."""
    with decoded(data, limits) as image:
        shown = image.convert("RGB")
        shown.thumbnail((side, side))
        return _png(shown)


def difference(data: bytes, limits: ReadLimits) -> bytes:
    """Return the difference of an image to its denoised view, grey for none, `GAIN` times as large; a PNG picture.

    The view is the median of 3 x 3 pixels, which leaves edges as they are, and takes away the fine grain that most
    perturbations are.
    """
    with decoded(data, limits) as image:
        shown = image.convert("RGB")
        shown.thumbnail((LARGE, LARGE))
        smooth = shown.filter(ImageFilter.MedianFilter(3))
    grain = np.asarray(shown, dtype=np.float32) - np.asarray(smooth, dtype=np.float32)
    return _png(Image.fromarray(np.clip(128 + GAIN * grain, 0, 255).astype(np.uint8)))


def _png(image: Image.Image) -> bytes:
    encoded = BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()
