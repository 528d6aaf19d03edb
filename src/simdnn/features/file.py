"""The file of a guard on features: safetensors with a JSON header and a digest, written and checked piece by piece.

A guard of the size of ImageNet is some hundred megabytes; safetensors' own writer would hold it in memory several
times.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simdnn.atomic import whole_file
from simdnn.errors import ModelFileError, OutputError
from simdnn.paper.scaling import FeatureRange

PROTOCOL = 1
KEY = "simdnn-features"

_BLANK = "0" * 64
_KINDS = {"f4": "F32", "f8": "F64", "i8": "I64"}
_TEXT = ("classes", "exemplars", "alpha", "sigma", "seed", "data", "learned", "created")
_ARRAYS = {
    "sizes": "iC",
    "variances": "fM",
    "support": "iM",
    "serials": "iM",
    "calibration_scores": "fk",
    "calibration_labels": "ik",
    "feature_min": "fn",
    "feature_max": "fn",
}
"""Kind and side of each array besides the prototypes: C classes, M prototypes, k rows that calibrate, n features."""


def write(path: Path, fields: Mapping[str, Any]) -> None:
    """Write the fields of a guard; OutputError if it cannot be written."""
    scaling: FeatureRange = fields["scaling"]
    arrays: dict[str, Sequence[NDArray[Any]]] = {
        name: [fields[name]] for name in _ARRAYS if not name.startswith("feature_")
    }
    arrays |= {"feature_min": [scaling.low], "feature_max": [scaling.high], "vectors": fields["parts"]}
    header = _header(arrays, {name: fields[name] for name in _TEXT})
    digest = sha256(header)
    try:
        with whole_file(path, keep_access=True) as file:
            file.write(header)
            for piece in _pieces(arrays):
                file.write(piece)
                digest.update(piece)
            file.seek(0)
            file.write(header.replace(_BLANK.encode(), digest.hexdigest().encode(), 1))
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def read(path: Path) -> dict[str, Any]:
    """Return the fields of a guard.

    Raises
    ------
    ModelFileError
        If the file is damaged, of a newer version, or none that `simdnn fit --features` wrote.
    """
    from safetensors import SafetensorError, safe_open

    content, digest = _checked(path)
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in [*_ARRAYS, "vectors"]}
        fields = {name: content[name] for name in _TEXT}
        _check(fields, arrays)
    except (KeyError, TypeError, ValueError, IndexError, SafetensorError) as error:
        raise ModelFileError(f"{path} lacks what a guard on features needs: {error}; fit it again") from error
    scaling = FeatureRange(arrays.pop("feature_min"), arrays.pop("feature_max"))
    vectors = arrays.pop("vectors")
    text = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    return text | arrays | {"scaling": scaling, "parts": [vectors], "model_id": digest[:16]}


def _header(arrays: Mapping[str, Sequence[NDArray[Any]]], text: Mapping[str, Any]) -> bytes:
    """Return the first bytes of a safetensors file, with a blank digest."""
    inner = json.dumps({"protocol": PROTOCOL, "digest": _BLANK, "guard": text})
    header: dict[str, Any] = {"__metadata__": {KEY: inner}}
    start = 0
    for name, parts in arrays.items():
        shape = [sum(len(part) for part in parts), *parts[0].shape[1:]]
        stop = start + sum(part.nbytes for part in parts)
        header[name] = {
            "dtype": _KINDS[parts[0].dtype.str[1:]],
            "shape": shape,
            "data_offsets": [start, stop],
        }
        start = stop
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw


def _pieces(arrays: Mapping[str, Sequence[NDArray[Any]]]) -> Iterator[memoryview]:
    for parts in arrays.values():
        for part in parts:
            if part.size:
                yield np.ascontiguousarray(part).view(np.uint8).reshape(-1).data


def _checked(path: Path) -> tuple[dict[str, Any], str]:
    """Return the header's text and the digest, which the whole file was held against."""
    foreign = ModelFileError(
        f"{path} is no guard on features, or damaged; expected one that `simdnn fit --features` wrote"
    )
    try:
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            if len(start) < 8 or length > path.stat().st_size:
                raise foreign
            raw = file.read(length)
            try:
                content = json.loads(json.loads(raw)["__metadata__"][KEY])
                protocol, digest = int(content["protocol"]), str(content["digest"])
                text = dict(content["guard"])
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise foreign from error
            if protocol > PROTOCOL:
                raise ModelFileError(
                    f"{path} was written by a newer version: protocol {protocol}, this version reads {PROTOCOL}; "
                    "update simdnn"
                )
            found = sha256(start + raw.replace(digest.encode(), _BLANK.encode(), 1))
            while piece := file.read(1 << 20):
                found.update(piece)
    except OSError as error:
        raise ModelFileError(f"cannot read the guard {path}: {error.strerror}") from error
    if found.hexdigest() != digest:
        raise ModelFileError(
            f"{path} is truncated or was altered: its content does not match its digest; take another copy of it"
        )
    return text, digest


def _check(fields: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Hold shapes, kinds and ranges against what belongs there; ValueError if one does not fit."""
    vectors = arrays["vectors"]
    if vectors.ndim != 2 or vectors.dtype != np.float64:
        raise ValueError("the prototypes are no table of numbers")
    sides = {"C": len(fields["classes"]), "M": len(vectors), "n": vectors.shape[1]}
    for name, kind_and_side in _ARRAYS.items():
        array, kind, side = arrays[name], kind_and_side[0], kind_and_side[1]
        expected = sides.setdefault(side, len(array))
        if array.shape != (expected,) or array.dtype.kind != kind or not np.isfinite(array).all():
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")
    sizes, labels = arrays["sizes"], arrays["calibration_labels"]
    if (
        not sides["M"]
        or (sizes < 0).any()
        or sizes.sum() != sides["M"]
        or len(fields["exemplars"]) != sides["M"]
    ):
        raise ValueError("the classes do not share out the prototypes")
    if (labels < 0).any() or (labels >= sides["C"]).any() or (arrays["variances"] < 0).any():
        raise ValueError("a label or a variance is out of range")
    if not all(np.isfinite(row).all() for row in np.array_split(vectors, max(1, vectors.nbytes >> 26))):
        raise ValueError("a prototype has missing or infinite numbers")
    texts = [*fields["classes"], *fields["exemplars"], fields["sigma"], fields["data"], fields["created"]]
    if not all(isinstance(text, str) for text in texts) or not 0 < float(fields["alpha"]) < 1:
        raise ValueError("a text or a number of the header is none")
