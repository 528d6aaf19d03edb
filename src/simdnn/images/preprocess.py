"""Preprocessing: from an image to the input of a network."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simdnn.errors import ImageReadError, InputError

if TYPE_CHECKING:
    from torch import Tensor

_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}  # both antialias

MAX_ASPECT = 100
"""Images with a larger ratio of sides are refused: resized by the shorter side, they would need too much memory."""

MAX_SIZE, MAX_RESIZE = 2048, 4096
"""Largest values of ``size`` and ``resize``. Settings also come from files, and larger images would need too much
memory."""

MAX_RESIZED_PIXELS = 50_000_000
"""Images that would have more pixels after the resize, before the crop, are refused."""


@dataclass(frozen=True)
class Preprocess:
    """Resize by the shorter side, crop the centre and scale to [0, 1], as torchvision's presets, without normalisation.

    An image that already has exactly ``size`` is not resampled, so that an attacked image keeps its perturbation.

    Attributes
    ----------
    size
        Height and width of the network's input, in pixels.
    resize
        Length of the shorter side before the crop, in pixels; None resizes the whole image to ``size``.
    mean, std
        Normalisation per channel, for pixels in [0, 1]. It is not applied here, but inside the backbone.
    interpolation
        ``"bilinear"`` or ``"bicubic"``, both with antialiasing.

    Raises
    ------
    InputError
        If a value is not valid.

    Examples
    --------
    >>> preprocess = Preprocess(size=(224, 224), resize=256)
    >>> preprocess.pixels(Image.new("RGB", (640, 480), "white")).shape
    (3, 224, 224)
    >>> Preprocess.from_dict(preprocess.as_dict()) == preprocess
    True
    """

    size: tuple[int, int]
    resize: int | None
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        if not (_is_tuple(self.size, 2) and all(_is_length(side) for side in self.size)):
            raise InputError(f"expected size as height and width, two positive integers, got {self.size!r}")
        if max(self.size) > MAX_SIZE or (_is_length(self.resize) and (self.resize or 0) > MAX_RESIZE):
            raise InputError(
                f"expected size of at most {MAX_SIZE:,} and resize of at most {MAX_RESIZE:,}, got {self.size!r} and "
                f"{self.resize!r}; a batch of larger pictures would fill the memory"
            )
        if self.resize is not None and not (_is_length(self.resize) and self.resize >= max(self.size)):
            raise InputError(
                f"expected resize as an integer of at least {max(self.size)}, the longer side of size, or None to "
                f"squash the picture, got {self.resize!r}"
            )
        if not (_is_tuple(self.mean, 3) and all(_is_finite(value) for value in self.mean)):
            raise InputError(f"expected mean as three finite numbers, one per channel, got {self.mean!r}")
        if not (_is_tuple(self.std, 3) and all(_is_finite(value) and value > 0 for value in self.std)):
            raise InputError(
                f"expected std as three finite numbers above 0, one per channel, got {self.std!r}"
            )
        if self.interpolation not in tuple(_RESAMPLING):
            raise InputError(f"expected interpolation 'bilinear' or 'bicubic', got {self.interpolation!r}")

    def __call__(self, image: Image.Image) -> Tensor:
        """Convert one image to a tensor, as `pixels` does to an array."""
        from torch import from_numpy  # here, so that reading a guard file does not import torch

        return from_numpy(self.pixels(image))

    def pixels(self, image: Image.Image) -> NDArray[np.float32]:
        """Convert one image to an array.

        Parameters
        ----------
        image
            Mode ``RGB``, as from `simdnn.images.reading.read_image`.

        Returns
        -------
        ndarray
            Shape (3, height, width), float32, in [0, 1].

        Raises
        ------
        ImageReadError
            If the longer side is more than `MAX_ASPECT` times the shorter, or the resized image would have more
            than `MAX_RESIZED_PIXELS`.
        InputError
            If the image is not RGB.
        """
        if image.mode != "RGB":
            raise InputError(f"expected a picture in mode RGB, got {image.mode}; read it with read_image")
        if (image.height, image.width) != self.size:
            image = self._fit(image)
        return np.asarray(image).transpose(2, 0, 1).astype(np.float32, order="C") / np.float32(255)

    def _fit(self, image: Image.Image) -> Image.Image:
        if max(image.size) > MAX_ASPECT * min(image.size):
            raise ImageReadError(
                f"expected sides in a ratio of at most {MAX_ASPECT} to 1, got {image.width:,} x {image.height:,}"
            )
        resampling = _RESAMPLING[self.interpolation]
        height, width = self.size
        if self.resize is None:
            return image.resize((width, height), resampling)
        short = min(image.size)
        full_width, full_height = (int(self.resize * side / short) for side in image.size)
        if full_width * full_height > MAX_RESIZED_PIXELS:
            raise ImageReadError(
                f"expected at most {MAX_RESIZED_PIXELS:,} pixels once the shorter side is {self.resize:,}, got "
                f"{full_width:,} x {full_height:,}"
            )
        left, top = round((full_width - width) / 2), round((full_height - height) / 2)
        return image.resize((full_width, full_height), resampling).crop(
            (left, top, left + width, top + height)
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values for JSON."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, plain: object) -> Preprocess:
        """Make the settings from the result of `as_dict`, before or after JSON; InputError if they are not valid."""
        expected = {field.name for field in fields(cls)}
        if not isinstance(plain, dict) or set(plain) != expected:
            got = sorted(plain) if isinstance(plain, dict) else plain
            raise InputError(f"expected the settings {sorted(expected)}, got {got!r}")
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in plain.items()}
        return cls(**values)


def _is_tuple(value: object, length: int) -> bool:
    return isinstance(value, tuple) and len(value) == length


def _is_length(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
