"""What a guard's ONNX file holds besides its graph, and the digest of every byte at its end.

The facts stand in the model's ``metadata_props``, where every runtime shows them: the whole guard file in base64, and,
readable, its classes, threshold, calibration scores and preprocessing. They are appended to the serialised model:
Protocol Buffers joins the parts of a message that follow each other, so that neither writing nor reading them takes
more than this file. The digest catches damage and tampering by accident; it is no signature.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from simdnn.atomic import write_whole
from simdnn.errors import ModelFileError, OutputError

PROTOCOL = 1
"""Raised by one when a file changes so that an older version could misread it."""

_METADATA_PROPS, _KEY, _VALUE = (
    b"\x72",
    b"\x0a",
    b"\x12",
)  # fields 14 of ModelProto, 1 and 2 of StringStringEntryProto
_DIGEST = "simdnn.digest"


@dataclass(frozen=True)
class Contents:
    """What a guard's ONNX file holds besides its graph.

    Attributes
    ----------
    guard : the bytes of the guard file
    auxiliary : the auxiliary network as an ONNX file of its own: one ``image`` (1, 3, H, W) and standard normal
        ``noise`` (D, 3, side, side) to ``logits`` (D, c); empty without one
    voter : ``side``, ``sigma``, ``classes`` and ``norm`` of :class:`simdnn.networks.voter.Voter`; empty without one
    n_features, n_classes : widths of the graph's ``features`` and ``logits``
    readable : plain values about the guard, for other programs
    """

    guard: bytes
    auxiliary: bytes
    voter: Mapping[str, Any]
    n_features: int
    n_classes: int
    readable: Mapping[str, Any]

    def metadata(self) -> dict[str, str]:
        """Return the texts that stand in the model's metadata."""
        facts = {
            "protocol": PROTOCOL,
            "n_features": self.n_features,
            "n_classes": self.n_classes,
            "voter": self.voter,
            **self.readable,
        }
        texts = {f"simdnn.{name}": json.dumps(value) for name, value in facts.items()}
        raw = {"simdnn.guard": self.guard, "simdnn.auxiliary": self.auxiliary}
        return texts | {name: b64encode(value).decode() for name, value in raw.items()}

    @classmethod
    def of(cls, metadata: Mapping[str, str], name: str) -> Contents:
        """Undo :meth:`metadata`; ModelFileError if something is missing or too new. ``name`` is for the error."""
        try:
            protocol = json.loads(metadata["simdnn.protocol"])
            if protocol != PROTOCOL:
                raise ModelFileError(
                    f"{name} was written with protocol {protocol}, this version reads {PROTOCOL}; export it again"
                )
            return cls(
                b64decode(metadata["simdnn.guard"], validate=True),
                b64decode(metadata["simdnn.auxiliary"], validate=True),
                dict(json.loads(metadata["simdnn.voter"])),
                int(json.loads(metadata["simdnn.n_features"])),
                int(json.loads(metadata["simdnn.n_classes"])),
                {},
            )
        except (KeyError, ValueError, TypeError) as error:
            raise ModelFileError(
                f"{name} lacks what a guard needs: {error!r}; export it again: simdnn export"
            ) from error


def write(path: Path, model: bytes, contents: Contents) -> None:
    """Write a serialised ONNX model with its contents, whole or not at all, readable for its owner alone.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    raw = model + b"".join(_entry(key, value) for key, value in contents.metadata().items())
    try:
        write_whole(path, raw + _entry(_DIGEST, sha256(raw).hexdigest()), keep_access=True)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def is_exported(path: Path) -> bool:
    """Tell whether a file is a guard's ONNX file by its end; False for one that cannot be read, too."""
    end = len(_entry(_DIGEST, "0" * 64))
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - end))
            return _digest(file.read()) is not None
    except OSError:
        return False


def read(path: Path) -> bytes:
    """Read a guard's ONNX file and hold it against its digest.

    Raises
    ------
    ModelFileError
        If it cannot be read, is something else, or was altered.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"cannot read the guard {path}: {error.strerror}") from error
    end = len(_entry(_DIGEST, "0" * 64))
    digest = _digest(raw[-end:])
    if digest is None:
        raise ModelFileError(
            f"{path} is truncated, or no file that `simdnn export` wrote; export the guard again"
        )
    if sha256(raw[:-end]).hexdigest() != digest:
        raise ModelFileError(
            f"{path} was altered: its content does not match its digest; take another copy of it, or export it again"
        )
    return raw


def _entry(key: str, value: str) -> bytes:
    """Return one entry of ``metadata_props`` as Protocol Buffers encodes it."""
    inner = b"".join(
        tag + _length(len(text)) + text for tag, text in ((_KEY, key.encode()), (_VALUE, value.encode()))
    )
    return _METADATA_PROPS + _length(len(inner)) + inner


def _length(number: int) -> bytes:
    """Return a number as a varint."""
    parts = []
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def _digest(end: bytes) -> str | None:
    """Return the digest in a file's last entry; None if it is another."""
    text = end[-64:].decode("ascii", errors="replace")
    return text if end == _entry(_DIGEST, text) else None
