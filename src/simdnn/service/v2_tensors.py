"""Images in tensors of the Open Inference Protocol: files as BYTES, or pixels as FP32 or UINT8."""

from __future__ import annotations

import base64
import binascii
from itertools import chain
from math import prod
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
    whole = tensor.datatype == "UINT8"
    try:
        numbers = _numbers(tensor)
        if whole and float in set(map(type, numbers)):
            raise Problem(422, "expected UINT8 pixels from 0 to 255, got others")
        values = np.array(numbers, dtype=np.int64 if whole else np.float64).reshape(tensor.shape)
        if whole and (values.min() < 0 or values.max() > 255):
            raise Problem(422, "expected UINT8 pixels from 0 to 255, got others")
        with np.errstate(over="ignore"):  # too large for float32 is infinite, and refused as such
            return values.astype(np.float32) / np.float32(255 if whole else 1)
    except OverflowError as error:
        raise Problem(
            422, f"expected numbers that fill the shape {tensor.shape}, got too large ones"
        ) from error
    except MemoryError as error:
        raise Problem(
            413, f"expected pixels that fit into memory, got the shape {tensor.shape}; send them in parts"
        ) from error


def _numbers(tensor: InputTensor) -> list[Any]:
    """Return the numbers in ``data``, flat; a 422 problem unless they are numbers alone, as many as the shape holds.

    Only lists are looked into, level by level, so that the work grows with the size of the body and no faster.
    """
    found = tensor.data
    while found and isinstance(found[0], list):
        if any(not isinstance(row, list) or len(row) != len(found[0]) for row in found):
            raise Problem(422, "expected numbers in lists of equal lengths, got lists of others")
        found = list(chain.from_iterable(found))
    if not {int, float, bool}.issuperset(map(type, found)):
        raise Problem(
            422, f"expected numbers that fill the shape {tensor.shape}, got other values among them"
        )
    if len(found) != prod(tensor.shape):
        raise Problem(
            422,
            f"expected {prod(tensor.shape)} numbers, which fill the shape {tensor.shape}, got {len(found)}",
        )
    return found
