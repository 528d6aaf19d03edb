"""The file a guard is kept in: safetensors with a JSON header, a protocol number and a digest of every byte.

Nothing in it is ever executed. The digest catches damage and tampering by accident; it is no signature, so whoever
can replace the file can replace its digest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from simdnn.errors import ModelFileError

PROTOCOL = 1
"""Raised by one when a file changes so that an older version could misread it."""

_BLANK = "0" * 64

Tensors = Mapping[str, NDArray[Any]]


def encode(header: Mapping[str, Any], tensors: Tensors) -> bytes:
    """Return the bytes of a guard file."""
    metadata = {"format": "simdnn", "protocol": str(PROTOCOL), "digest": _BLANK, "guard": json.dumps(header)}
    raw: bytes = save({name: np.ascontiguousarray(value) for name, value in tensors.items()}, metadata)
    return raw.replace(_BLANK.encode(), sha256(raw).hexdigest().encode(), 1)


def decode(raw: bytes, name: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]], str]:
    """Return header, tensors and digest of the bytes of a guard file; ``name`` is for the error.

    Raises
    ------
    ModelFileError
        If the bytes are no guard file, are truncated or altered, or come from a newer version.
    """
    metadata = _metadata(raw, name)
    try:
        protocol = int(metadata["protocol"])
        digest, guard = metadata["digest"], metadata["guard"]
    except (KeyError, ValueError) as error:
        raise ModelFileError(
            f"{name} is damaged: its header lacks a valid {error}; fit the guard again"
        ) from error
    if protocol > PROTOCOL:
        raise ModelFileError(
            f"{name} was written by a newer version: protocol {protocol}, this version reads up to {PROTOCOL}; "
            "update simdnn"
        )
    if sha256(raw.replace(digest.encode(), _BLANK.encode(), 1)).hexdigest() != digest:
        raise ModelFileError(
            f"{name} is truncated or was altered: its content does not match its digest; take another copy of it"
        )
    try:
        return json.loads(guard), load(raw), digest
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise ModelFileError(f"{name} cannot be read: {_line(error)}") from error


def write(path: Path, header: Mapping[str, Any], tensors: Tensors) -> None:
    """Write a guard file whole or not at all."""
    try:
        with NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
            file.write(encode(header, tensors))
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).chmod(0o600)  # it lists the guard's secrets
        Path(file.name).replace(path)
    except OSError as error:
        raise ModelFileError(f"cannot write {path}: {error.strerror}") from error


def read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]], str]:
    """Read a guard file; header, tensors and digest as :func:`decode` returns them."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"cannot read the guard {path}: {error.strerror}") from error
    return decode(raw, str(path))


def _metadata(raw: bytes, name: str) -> dict[str, str]:
    length = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or length > len(raw) - 8:
        raise ModelFileError(f"{name} is truncated, or no guard file: {len(raw)} bytes")
    try:
        metadata = json.loads(raw[8 : 8 + length])["__metadata__"]
        ours = metadata["format"] == "simdnn" and all(isinstance(value, str) for value in metadata.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        ours = False
    if not ours:
        raise ModelFileError(f"{name} is no guard file; expected one that `simdnn fit` wrote")
    return dict(metadata)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
