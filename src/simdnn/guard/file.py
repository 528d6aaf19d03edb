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
from tempfile import mkstemp
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from simdnn.errors import ModelFileError

PROTOCOL = 2
"""Raised by one when a file changes so that an older version could misread it."""

_KEY = "simdnn"
_BLANK = "0" * 64

Tensors = Mapping[str, NDArray[Any]]


def encode(header: Mapping[str, Any], tensors: Tensors) -> bytes:
    """Return the bytes of a guard file; the same for the same content."""
    # One text under one key: safetensors writes several keys in an order that differs from call to call.
    text = json.dumps({"protocol": PROTOCOL, "digest": _BLANK, "guard": header})
    raw: bytes = save({name: np.ascontiguousarray(value) for name, value in tensors.items()}, {_KEY: text})
    return raw.replace(_in_header(_BLANK), _in_header(sha256(raw).hexdigest()), 1)


def decode(raw: bytes, name: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return header and tensors from the bytes of a guard file; ``name`` is for the error.

    Raises
    ------
    ModelFileError
        If the bytes are no guard file, are truncated or altered, or come from a newer version.
    """
    content = _content(raw, name)
    protocol, digest = content["protocol"], content["digest"]
    if protocol < PROTOCOL:
        raise ModelFileError(
            f"{name} was written by an older version: protocol {protocol}, this version reads {PROTOCOL}; fit it again"
        )
    if protocol > PROTOCOL:
        raise ModelFileError(
            f"{name} was written by a newer version: protocol {protocol}, this version reads {PROTOCOL}; "
            "update simdnn"
        )
    if sha256(raw.replace(_in_header(digest), _in_header(_BLANK), 1)).hexdigest() != digest:
        raise ModelFileError(
            f"{name} is truncated or was altered: its content does not match its digest; take another copy of it"
        )
    try:
        return content["guard"], load(raw)
    except Exception as error:  # safetensors fails with almost any type where a stranger wrote the header
        raise ModelFileError(f"{name} cannot be read: {_line(error)}; fit the guard again") from error


def write(path: Path, header: Mapping[str, Any], tensors: Tensors) -> None:
    """Write a guard file whole or not at all, for its owner's eyes only: it lists the guard's secrets."""
    raw = encode(header, tensors)
    try:
        target = os.path.realpath(path)  # where the path is a link, the file behind it is replaced
        descriptor, temporary = mkstemp(dir=os.path.dirname(target), prefix=".simdnn-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise ModelFileError(f"cannot write {path}: {error.strerror}") from error


def read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read a guard file; header and tensors as :func:`decode` returns them."""
    try:
        if path.exists() and not path.is_file():
            raise ModelFileError(
                f"expected a guard file that `simdnn fit` wrote, got {path}, which is no file"
            )
        raw = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"cannot read the guard {path}: {error.strerror}") from error
    return decode(raw, str(path))


def _in_header(digest: str) -> bytes:
    """Return how the digest stands in the file: within a JSON text within JSON, which no other text there can mimic."""
    return json.dumps(json.dumps({"digest": digest})[1:-1])[1:-1].encode()


def _content(raw: bytes, name: str) -> dict[str, Any]:
    """Return protocol, digest and header of what looks like a guard file."""
    length = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or length > len(raw) - 8:
        raise ModelFileError(f"{name} is truncated, or no guard file: {len(raw)} bytes")
    try:
        content = json.loads(json.loads(raw[8 : 8 + length])["__metadata__"][_KEY])
        ours = type(content["protocol"]) is int and isinstance(content["digest"], str)
    except (ValueError, KeyError, TypeError, RecursionError):
        ours = False
    if not ours:
        raise ModelFileError(f"{name} is no guard file, or damaged; expected one that `simdnn fit` wrote")
    return dict(content)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
