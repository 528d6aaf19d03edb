"""Images in tensors of the Open Inference Protocol: files as BYTES, or pixels as FP32 or UINT8."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, Field

from simdnn.service.jobs import Upload
from simdnn.service.problems import Problem
from simdnn.service.uploads import UNNAMED


class InputTensor(BaseModel):
    """Images: files in base64 (BYTES, shape [N]), or pixels (shape [N, 3, H, W]), FP32 in [0, 1] or UINT8."""

    name: str = Field(max_length=64)
    datatype: Literal["BYTES", "FP32", "UINT8"]
    shape: list[Annotated[int, Field(ge=1, le=1 << 20)]] = Field(min_length=1, max_length=4)
    data: list[Any]
    parameters: dict[str, Any] | None = None


def uploads_of(tensor: InputTensor, most: int) -> list[Upload]:
    """Return the images of a tensor.

    Raises
    ------
    Problem
        422 if shape and data do not fit, 413 if the images are more than ``most``.
    """
    number = tensor.shape[0]
    if number > most:
        raise Problem(413, f"expected at most {most} images in a request, got {number}; send them in parts")
    if tensor.datatype == "BYTES":
        if len(tensor.shape) != 1 or number != len(tensor.data):
            raise Problem(
                422, f"expected BYTES of shape [{len(tensor.data)}], one for each image, got {tensor.shape}"
            )
        return [Upload(f"{UNNAMED}-{i}", _file(text, i)) for i, text in enumerate(tensor.data)]
    if len(tensor.shape) != 4:
        raise Problem(422, f"expected pixels of shape [N, 3, height, width], got {tensor.shape}")
    pixels = _pixels(tensor)
    return [Upload(f"{UNNAMED}-{i}", one) for i, one in enumerate(pixels)]


def _file(text: object, i: int) -> bytes:
    try:
        if isinstance(text, str) and (data := base64.b64decode(text, validate=True)):
            return data
    except (binascii.Error, ValueError):
        pass
    raise Problem(422, f"expected image {i} as the base64 of its file's bytes, got something else")


def _pixels(tensor: InputTensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    try:
        values = np.array(tensor.data)
        shaped = values.astype(values.dtype if values.dtype.kind in "fiu" else np.float32).reshape(
            tensor.shape
        )
    except (ValueError, OverflowError, TypeError) as error:
        raise Problem(422, f"expected numbers that fill the shape {tensor.shape}, got others") from error
    if tensor.datatype == "FP32":
        return shaped.astype(np.float32)
    if shaped.dtype.kind == "f" or shaped.min() < 0 or shaped.max() > 255:
        raise Problem(422, "expected UINT8 pixels from 0 to 255, got others")
    return shaped.astype(np.float32) / np.float32(255)
