"""What networks gave for images, kept on disk, so that no image goes through the same network twice."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sqlite3
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import safetensors.numpy
from platformdirs import user_cache_path

from simdnn.errors import InputError
from simdnn.networks.cache_file import delete, explained, opened

Row = dict[str, np.ndarray[Any, np.dtype[Any]]]
"""What is kept under one key: names and arrays."""

DEFAULT_LIMIT = 4 << 30
"""Bytes that a cache may hold unless another limit is given."""

_ROOM = 0.9  # share of the limit that is left when old rows have gone
_USED_WITHIN = 3600  # seconds; a use is noted no more often

_log = logging.getLogger(__name__)


def default_cache() -> Path:
    """Return the user's own cache file; it may not exist yet."""
    return user_cache_path("simdnn") / "features.sqlite"


@dataclass(frozen=True)
class CacheInfo:
    """What a cache holds: its ``path``, ``rows``, and ``bytes`` of at most ``limit``."""

    path: str
    rows: int
    bytes: int
    limit: int


class FeatureCache:
    """Arrays by key in one SQLite file, for several threads and processes at once.

    Every `put` is one transaction: after a crash its rows are all there or none of them. Each row has a digest; one
    that does not fit counts as absent, so that it is computed again, with a warning on the log. Only the owner may
    read the file.

    Parameters
    ----------
    path
        The file, made with its folder where absent. It must lie on a local disk.
    limit
        Bytes. Beyond it the rows that were not used for longest are deleted.

    Raises
    ------
    InputError
        If the file is damaged, is something else, or cannot be opened; so do all methods.
    """

    def __init__(self, path: Path | str, limit: int = DEFAULT_LIMIT) -> None:
        if limit < 1:
            raise InputError(f"expected a limit of at least 1 byte, got {limit}")
        self.path = Path(path)
        self.limit = limit
        self._lock = threading.Lock()
        self._just_used: set[str] = set()
        self._db = opened(self.path)

    def get(self, key: str) -> Row | None:
        """Return the arrays kept under ``key``, or None."""
        with explained(self.path), self._lock:
            found = self._db.execute("SELECT arrays, digest, used FROM row WHERE key = ?", (key,)).fetchone()
            if found is None:
                return None
            arrays, digest, used = found
            if digest != _digest(key, arrays):
                _log.warning("%s: a row is damaged, and is computed again; check the disk", self.path)
                return None
            if used < time.time() - _USED_WITHIN:
                self._just_used.add(key)
            return safetensors.numpy.load(arrays)

    def put(self, rows: Mapping[str, Row]) -> None:
        """Keep several rows; a key that is there already is replaced."""
        now = int(time.time())
        values = []
        for key, row in rows.items():
            arrays = _packed(row)
            values.append((key, arrays, _digest(key, arrays), now))
        with explained(self.path), self._lock, self._db:
            self._note_uses()
            self._db.executemany("INSERT OR REPLACE INTO row VALUES (?, ?, ?, ?)", values)
            if self._bytes() > self.limit:
                self._make_room()

    def run_state(self, key: str) -> str | None:
        """Return what `keep_run_state` kept for an unfinished run, or None."""
        with explained(self.path), self._lock:
            found = self._db.execute("SELECT state FROM run WHERE key = ?", (key,)).fetchone()
            return None if found is None else str(found[0])

    def keep_run_state(self, key: str, state: str) -> None:
        """Keep what an unfinished run needs to go on; it is never deleted to make room."""
        with explained(self.path), self._lock, self._db:
            self._db.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", (key, state))

    def forget_run_state(self, key: str) -> None:
        """Forget a run that has ended."""
        with explained(self.path), self._lock, self._db:
            self._db.execute("DELETE FROM run WHERE key = ?", (key,))

    def info(self) -> CacheInfo:
        """Count what it holds."""
        with explained(self.path), self._lock:
            return CacheInfo(str(self.path), self._rows(), self._bytes(), self.limit)

    def __len__(self) -> int:
        with explained(self.path), self._lock:
            return self._rows()

    def close(self) -> None:
        """Close the file; the cache cannot be used afterwards."""
        with self._lock:
            with contextlib.suppress(sqlite3.Error), self._db:  # what was used is no reason to fail
                self._note_uses()
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _rows(self) -> int:
        count: int = self._db.execute("SELECT count(*) FROM row").fetchone()[0]
        return count

    def _bytes(self) -> int:
        """Return the size of the pages in use, as SQLite knows it without looking at them."""
        pages, free, size = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _note_uses(self) -> None:
        if not self._just_used:
            return
        now = int(time.time())
        self._db.executemany("UPDATE row SET used = ? WHERE key = ?", [(now, k) for k in self._just_used])
        self._just_used.clear()

    def _make_room(self) -> None:
        """Delete the rows that were not used for longest; their pages are used again."""
        while (size := self._bytes()) > _ROOM * self.limit and (rows := self._rows()):
            surplus = max(1, int(rows * (1 - _ROOM * self.limit / size)))
            self._db.execute(
                "DELETE FROM row WHERE key IN (SELECT key FROM row ORDER BY used, rowid LIMIT ?)", (surplus,)
            )


def open_default_cache(limit: int = DEFAULT_LIMIT) -> FeatureCache | None:
    """Open the user's own cache; None, with a warning on the log, where it cannot be written.

    Raises
    ------
    InputError
        If the file is damaged or something else.
    """
    path = default_cache()
    try:
        return FeatureCache(path, limit)
    except InputError as error:
        if not isinstance(error.__cause__, (OSError, sqlite3.OperationalError)):
            raise
        _log.warning("nothing is cached: %s", error.__cause__)
        return None


def clear_cache(path: Path) -> int:
    """Delete a cache file, and return how many bytes that frees; 0 if there is none.

    Raises
    ------
    InputError
        If the file is something else.
    """
    files = [Path(f"{path}{suffix}") for suffix in ("", "-wal", "-shm")]
    freed = sum(file.stat().st_size for file in files if file.is_file())
    if path.exists():
        with contextlib.suppress(InputError):  # a damaged one may go, too
            FeatureCache(path).close()  # one of an older version gets its mark
        delete(path)
    return freed


def _packed(row: Row) -> bytes:
    # safetensors writes the memory behind an array, whatever its strides
    return safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in row.items()})


def _digest(key: str, arrays: bytes) -> bytes:
    return hashlib.blake2b(arrays, digest_size=16, key=hashlib.sha256(key.encode()).digest()).digest()
