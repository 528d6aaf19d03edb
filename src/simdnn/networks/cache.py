"""A cache on disk for the outputs of networks, so that no image goes through the same network twice."""

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
"""The value under one key: arrays by name."""

DEFAULT_LIMIT = 4 << 30
"""Default size limit of a cache, in bytes."""

_TARGET = 0.9  # share of the limit to which the cache shrinks when it exceeds the limit
_USED_WITHIN = 3600  # seconds; the time of last use is recorded no more often

_log = logging.getLogger(__name__)


def default_cache() -> Path:
    """Return the path of the user's cache file, which may not exist yet."""
    return user_cache_path("simdnn") / "features.sqlite"


@dataclass(frozen=True)
class CacheInfo:
    """Path of a cache, number of rows, and size and limit in bytes."""

    path: str
    rows: int
    bytes: int
    limit: int


class FeatureCache:
    """Arrays by key in one SQLite file, for several threads and processes at once.

    Every `put` is one transaction: after a crash, all of its rows are there, or none. Each row has a digest. A row
    whose digest does not match counts as missing, with a warning on the log, and is computed again. Only the owner may
    read the file.

    Parameters
    ----------
    path
        The file; it is created with its folder if missing. It must be on a local disk.
    limit
        Size limit in bytes. When it is exceeded, the least recently used rows are deleted.

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
        """Return the arrays under ``key``, or None."""
        with explained(self.path), self._lock:
            row = self._db.execute("SELECT arrays, digest, used FROM row WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            arrays, digest, used = row
            if digest != _digest(key, arrays):
                _log.warning("%s: a row is damaged, and is computed again; check the disk", self.path)
                return None
            if used < time.time() - _USED_WITHIN:
                self._just_used.add(key)
            return safetensors.numpy.load(arrays)

    def put(self, rows: Mapping[str, Row]) -> None:
        """Store rows; a row that exists already is replaced."""
        now = int(time.time())
        values = []
        for key, row in rows.items():
            arrays = _serialised(row)
            values.append((key, arrays, _digest(key, arrays), now))
        with explained(self.path), self._lock, self._db:
            self._note_uses()
            self._db.executemany("INSERT OR REPLACE INTO row VALUES (?, ?, ?, ?)", values)
            if self._bytes() > self.limit:
                self._make_room()

    def run_state(self, key: str) -> str | None:
        """Return the state of an unfinished run, stored by `keep_run_state`, or None."""
        with explained(self.path), self._lock:
            row = self._db.execute("SELECT state FROM run WHERE key = ?", (key,)).fetchone()
            return None if row is None else str(row[0])

    def keep_run_state(self, key: str, state: str) -> None:
        """Store the state from which an unfinished run can continue; it is never deleted to make room."""
        with explained(self.path), self._lock, self._db:
            self._db.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", (key, state))

    def forget_run_state(self, key: str) -> None:
        """Delete the state of a run that has ended."""
        with explained(self.path), self._lock, self._db:
            self._db.execute("DELETE FROM run WHERE key = ?", (key,))

    def info(self) -> CacheInfo:
        """Return the number of rows and the size."""
        with explained(self.path), self._lock:
            return CacheInfo(str(self.path), self._rows(), self._bytes(), self.limit)

    def __len__(self) -> int:
        with explained(self.path), self._lock:
            return self._rows()

    def close(self) -> None:
        """Close the file; the cache cannot be used afterwards."""
        with self._lock:
            with contextlib.suppress(sqlite3.Error), self._db:  # times of use are not worth an error
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
        """Return the size of the pages in use, which SQLite knows without reading them."""
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
        """Delete the least recently used rows; SQLite uses their pages again."""
        while (size := self._bytes()) > _TARGET * self.limit and (rows := self._rows()):
            surplus = max(1, int(rows * (1 - _TARGET * self.limit / size)))
            self._db.execute(
                "DELETE FROM row WHERE key IN (SELECT key FROM row ORDER BY used, rowid LIMIT ?)", (surplus,)
            )


def open_default_cache(limit: int = DEFAULT_LIMIT) -> FeatureCache | None:
    """Open the user's cache; if it cannot be written, log a warning and return None.

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
    """Delete a cache file, and return the number of bytes freed; 0 if there is none.

    Raises
    ------
    InputError
        If the file is something else.
    """
    files = [Path(f"{path}{suffix}") for suffix in ("", "-wal", "-shm")]
    freed = sum(file.stat().st_size for file in files if file.is_file())
    if path.exists():
        with contextlib.suppress(InputError):  # a damaged cache is deleted, too
            FeatureCache(path).close()  # this marks a cache of the first version, so that `delete` knows it
        delete(path)
    return freed


def _serialised(row: Row) -> bytes:
    # safetensors writes the memory behind an array and ignores strides
    return safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in row.items()})


def _digest(key: str, arrays: bytes) -> bytes:
    return hashlib.blake2b(arrays, digest_size=16, key=hashlib.sha256(key.encode()).digest()).digest()
