"""What an actor sends back for some images: arrays and text in one safetensors message, which runs no code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from simdnn.networks.batch import ROWS, Batch

_KEY = "simdnn"


@dataclass(frozen=True)
class Block:
    """Some images: ``ids``, in any order, and what came of them, with positions in that list."""

    ids: tuple[str, ...]
    batch: Batch

    def encode(self) -> bytes:
        """Return the block as bytes."""
        batch = self.batch
        arrays: dict[str, NDArray[Any]] = {name: np.ascontiguousarray(getattr(batch, name)) for name in ROWS}
        if batch.pixels is not None:
            arrays["pixels"] = np.ascontiguousarray(batch.pixels)
        if batch.image_bytes:
            arrays["image_bytes"] = np.frombuffer(b"".join(batch.image_bytes), dtype=np.uint8)
        text = {
            "ids": self.ids,
            "corruption": batch.corruption,
            "image_sha256": batch.image_sha256,
            "sizes": [len(data) for data in batch.image_bytes],
            "errors": {str(i): reason for i, reason in batch.errors.items()},
        }
        raw: bytes = save(arrays, {_KEY: json.dumps(text)})
        return raw

    @classmethod
    def decode(cls, raw: bytes) -> Block:
        """Undo `encode`; ValueError or KeyError if the bytes are no block."""
        length = int.from_bytes(raw[:8], "little")
        text = json.loads(json.loads(raw[8 : 8 + length])["__metadata__"][_KEY])
        arrays = load(raw)
        blob, ends = (
            arrays.pop("image_bytes", np.empty(0, np.uint8)).tobytes(),
            np.cumsum([0, *text["sizes"]]),
        )
        batch = Batch(
            **{name: arrays[name] for name in ROWS},
            corruption=tuple(text["corruption"]),
            image_sha256=tuple(text["image_sha256"]),
            image_bytes=tuple(blob[a:b] for a, b in pairwise(ends.tolist())),
            errors={int(i): reason for i, reason in text["errors"].items()},
            pixels=arrays.get("pixels"),
        )
        return cls(tuple(text["ids"]), batch)

    def images(self) -> Iterator[tuple[str, Batch]]:
        """Yield the result of each image by its id: its row, with its corrupted copy's behind it, or its error."""
        rows: dict[int, list[int]] = {}
        for row, position in enumerate(self.batch.positions.tolist()):
            rows.setdefault(position, []).append(row)
        for i, name in enumerate(self.ids):
            own = np.array(rows.get(i, []), dtype=np.int64)
            errors = {0: self.batch.errors[i]} if i in self.batch.errors else {}
            one = _taken(self.batch, own)
            yield name, replace(one, positions=np.zeros(len(own), dtype=np.int64), errors=errors)


def joined(parts: Sequence[Batch]) -> Batch:
    """Return batches of one after the other as one, with pixels and bytes where all rows have them."""
    whole = Batch.joined(parts)
    found = [part.pixels for part in parts if part.pixels is not None]
    return replace(
        whole,
        pixels=np.concatenate(found) if found else None,
        image_bytes=tuple(data for part in parts for data in part.image_bytes),
    )


def _taken(batch: Batch, rows: NDArray[np.int64]) -> Batch:
    taken = batch.take(rows)
    return replace(
        taken,
        pixels=None if batch.pixels is None or not len(rows) else batch.pixels[rows],
        image_bytes=tuple(batch.image_bytes[i] for i in rows.tolist()) if batch.image_bytes else (),
    )
