"""Harmless views of an image: shifted, mirrored or rotated a little."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import cos, isfinite, radians, sin
from typing import TYPE_CHECKING, Any

from simdnn.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Shift:
    """A small geometric change, the same for every image, with reflection at the edges.

    Differentiable with respect to the image.

    Attributes
    ----------
    mirror : whether left and right are exchanged first
    right, down : shift in pixels; may be negative
    angle : rotation about the centre in degrees, counter-clockwise

    >>> import torch
    >>> image = torch.arange(4.0).reshape(1, 1, 1, 4)
    >>> Shift(mirror=True)(image).flatten().tolist(), Shift(right=1)(image).flatten().tolist()
    ([3.0, 2.0, 1.0, 0.0], [1.0, 0.0, 1.0, 2.0])
    """

    mirror: bool = False
    right: int = 0
    down: int = 0
    angle: float = 0.0

    def __post_init__(self) -> None:
        if not isfinite(self.angle):
            raise InputError(f"expected a finite angle, got {self.angle}")

    def __call__(self, images: Tensor) -> Tensor:
        """Return the view of (N, C, H, W) images; same shape.

        Raises
        ------
        InputError
            If the images are no larger than the shift.
        """
        from torch.nn.functional import pad  # here, so that reading a guard file does not import torch

        height, width = images.shape[-2:]
        if abs(self.right) >= width or abs(self.down) >= height:
            raise InputError(
                f"expected images larger than the shift by ({self.right}, {self.down}), got {width} x {height}"
            )
        if self.mirror:
            images = images.flip(-1)
        if self.angle:
            return self._rotated(images)
        if self.right or self.down:
            x, y = abs(self.right), abs(self.down)
            wide = pad(images, (x, x, y, y), mode="reflect")
            return wide[..., y - self.down : y - self.down + height, x - self.right : x - self.right + width]
        return images

    def _rotated(self, images: Tensor) -> Tensor:
        """Rotate and shift in one step, so that pixels are interpolated only once."""
        import torch
        from torch.nn.functional import affine_grid, grid_sample

        height, width = images.shape[-2:]
        c, s = cos(radians(self.angle)), sin(radians(self.angle))
        back = torch.tensor(
            [
                [c, -s * height / width, -2 * self.right / width],
                [s * width / height, c, -2 * self.down / height],
            ],
            dtype=images.dtype,
            device=images.device,
        )
        grid = affine_grid(back.expand(len(images), 2, 3), list(images.shape), align_corners=False)
        return grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the view as plain values for JSON."""
        return asdict(self)
