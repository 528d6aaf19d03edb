"""Features on disk: a folder of ``.npy`` or Parquet shards, read a block at a time; see ``docs/features.md``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import IntArray
from simdnn.errors import InputError

BLOCK = 256 << 20
"""Bytes of features that are read at a time; one block more is read ahead."""


@dataclass(frozen=True)
class Block:
    """Some rows of all.

    Attributes
    ----------
    start : index of the first row among all rows of all shards
    features : (B, n) float32, or float64 where the shard holds that
    labels : (B,) classes; None where the shards have none
    ids : (B,) names of the rows: those given, else ``shard:row``
    """

    start: int
    features: NDArray[np.floating]
    labels: NDArray[np.str_] | None
    ids: Sequence[str]


class Shard(Protocol):
    """One file of features."""

    path: Path
    rows: int
    width: int

    def features(self, rows: int) -> Iterator[NDArray[Any]]:
        """Yield the features, up to ``rows`` rows at a time, (B, n)."""
        ...

    def labels(self) -> NDArray[np.str_] | None:
        """Return (rows,) classes, or None."""
        ...

    def ids(self) -> NDArray[np.str_] | None:
        """Return (rows,) names, or None."""
        ...


class Shards:
    """The shards of a folder, in the order of their names, or a single one.

    Parameters
    ----------
    path : a folder, or one ``.npy`` or ``.parquet`` file

    Attributes
    ----------
    rows, width : number of all rows, N, and of features, n

    Raises
    ------
    InputError
        If there are no shards, both kinds, or one that does not fit the others.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.shards = [_opened(file) for file in _files(self.path)]
        first = self.shards[0]
        for shard in self.shards:
            if shard.width != first.width:
                raise InputError(
                    f"expected {first.width} features in each shard, as in {first.path}, got {shard.width} in "
                    f"{shard.path}"
                )
        self.width = first.width
        self.starts = np.cumsum([0, *(shard.rows for shard in self.shards)])
        self.rows = int(self.starts[-1])
        if not self.rows or not self.width:
            raise InputError(f"expected features in {self.path}, got {self.rows} rows of {self.width}")

    @cached_property
    def labels(self) -> NDArray[np.str_] | None:
        """(N,) classes; None where no shard has any; InputError where only some have."""
        found = [shard.labels() for shard in self.shards]
        given = [labels for labels in found if labels is not None]
        if given and len(given) < len(found):
            lacking = next(s.path for s, labels in zip(self.shards, found, strict=True) if labels is None)
            raise InputError(f"expected labels for every shard or for none, got none for {lacking}")
        return np.concatenate(given) if given else None

    def blocks(self, size: int = BLOCK) -> Iterator[Block]:
        """Yield all rows in order, about ``size`` bytes of features at a time; the next block is read meanwhile."""
        with ThreadPoolExecutor(1, thread_name_prefix="simdnn-shards") as pool:
            blocks = self._blocks(max(1, size // (4 * self.width)))
            ahead = pool.submit(next, blocks, None)
            while (block := ahead.result()) is not None:
                ahead = pool.submit(next, blocks, None)
                yield block

    def ids_of(self, rows: IntArray) -> list[str]:
        """Return the names of some rows, by their index among all."""
        names = dict[int, str]()
        owners = np.searchsorted(self.starts, rows, side="right") - 1
        for owner in np.unique(owners).tolist():
            shard, start = self.shards[owner], int(self.starts[owner])
            given = shard.ids()
            for row in rows[owners == owner].tolist():
                names[row] = _name(shard, row - start) if given is None else str(given[row - start])
        return [names[row] for row in rows.tolist()]

    def _blocks(self, rows: int) -> Iterator[Block]:
        for shard, first in zip(self.shards, self.starts.tolist(), strict=False):
            given, done = shard.ids(), 0
            for features in shard.features(rows):
                stop = done + len(features)
                ids = (
                    [_name(shard, row) for row in range(done, stop)]
                    if given is None
                    else given[done:stop].tolist()
                )
                labels = None if self.labels is None else self.labels[first + done : first + stop]
                exact = features if features.dtype == np.float64 else features.astype(np.float32, copy=False)
                yield Block(first + done, exact, labels, ids)
                done = stop


def _name(shard: Shard, row: int) -> str:
    return f"{shard.path.name}:{row}"


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(
            f"expected a folder of features, or a .npy or .parquet file, got {path}, which is none"
        )
    arrays = [
        file
        for file in sorted(path.glob("*.npy"))
        if not file.name.endswith((".labels.npy", ".ids.npy")) and not file.name.startswith(".")
    ]
    tables = sorted(file for file in path.glob("*.parquet") if not file.name.startswith("."))
    if arrays and tables:
        raise InputError(f"expected either .npy or .parquet files in {path}, got both; keep one kind")
    if not arrays and not tables:
        raise InputError(f"expected .npy or .parquet files of features in {path}, got none")
    return arrays or tables


def _opened(path: Path) -> Shard:
    if path.suffix == ".npy":
        from simdnn.features.npy import NpyShard

        return NpyShard(path)
    if path.suffix == ".parquet":
        from simdnn.features.parquet import ParquetShard

        return ParquetShard(path)
    raise InputError(f"expected features in a .npy or .parquet file, got {path}")
