"""The file a guard is kept in: safetensors with a JSON header, a protocol number and a digest of every byte.

Nothing in it is ever executed. The digest catches damage and tampering by accident; it is no signature, so whoever
can replace the file can replace its digest.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from simdnn.atomic import write_whole
from simdnn.errors import ModelFileError, OutputError

PROTOCOL = 3
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
    """Write a guard file as :func:`simdnn.atomic.whole_file` does.

    A new one is for its owner's eyes only, since it lists the guard's secrets; one that is replaced keeps its owner and
    mode.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    raw = encode(header, tensors)
    try:
        write_whole(path, raw, keep_access=True)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


@contextmanager
def locked(path: Path, patience: float = 120.0) -> Iterator[None]:
    """Keep others who lock a guard file from it while it is read, edited and written, so that no edit is lost.

    The file itself is locked, wherever it moves; a file that takes its place while we wait is locked in turn.

    Parameters
    ----------
    path : the file
    patience : seconds to wait for another who has it

    Raises
    ------
    ModelFileError
        If another has it for longer, or the file cannot be opened or locked.
    """
    if os.name != "posix":  # Windows has no such locks
        yield
        return
    until = time.monotonic() + patience
    while True:
        with _opened(path) as file:
            if _lock(file, path):
                yield
                return
        if time.monotonic() > until:
            raise ModelFileError(
                f"another process has been editing {path} for {patience:.0f} seconds; try again when it is done"
            )
        time.sleep(0.05)


def _opened(path: Path) -> BinaryIO:
    try:
        return os.fdopen(_without_waiting(str(path), os.O_RDONLY), "rb")
    except OSError as error:
        raise ModelFileError(f"cannot read the guard {path}: {error.strerror}") from error


def _lock(file: BinaryIO, path: Path) -> bool:
    """Lock an open file; False if another has it, or if it is no longer the one of that path."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except BlockingIOError:
        return False
    except OSError as error:
        raise ModelFileError(f"cannot lock the guard {path}: {error.strerror}") from error


def read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read a guard file; header and tensors as :func:`decode` returns them."""
    return decode(content_of(path), str(path))


def content_of(path: Path) -> bytes:
    """Read the bytes of what should be a guard file; ModelFileError if they cannot be read."""
    try:
        if path.exists() and not path.is_file():
            raise ModelFileError(
                f"expected a guard file that `simdnn fit` wrote, got {path}, which is no file"
            )
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"cannot read the guard {path}: {error.strerror}") from error


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe that nobody writes to is opened too, instead of waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


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
