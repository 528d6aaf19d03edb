"""Images as 8-bit pictures, which Pillow writes to files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from torch import Tensor


def picture_of(image: Tensor) -> Image.Image:
    """Return an image (3, H, W) in [0, 1] as a picture, each value rounded to the nearest of 256 levels."""
    return Image.fromarray((image * 255).round().byte().permute(1, 2, 0).cpu().numpy())
