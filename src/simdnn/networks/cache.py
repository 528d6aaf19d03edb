"""What networks gave for images, kept on disk, so that no image goes through the same network twice."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import safetensors.numpy
from platformdirs import user_cache_path
from safetensors import SafetensorError

from simdnn.errors import InputError

Row = dict[str, np.ndarray[Any, np.dtype[Any]]]
"""What is kept under one key: names and arrays."""

_WAIT_SECONDS = 60.0


def default_cache() -> Path:
    """Return the user's own cache file; it may not exist yet."""
    return user_cache_path("simdnn") / "features.sqlite"


class FeatureCache:
    """Arrays by key in one SQLite file, for several threads and processes at once.

    Every `put` is one transaction: after a crash its rows are all there or none of them.

    Parameters
    ----------
    path
        The file, made with its folder where absent. It must lie on a local disk.

    Raises
    ------
    InputError
        If the file is damaged, is something else, or cannot be opened; so do all methods.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        with self._told():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=_WAIT_SECONDS, check_same_thread=False)
        try:
            with self._told(), self._db:
                self._db.execute("PRAGMA journal_mode = WAL")  # readers do not wait for a writer
                self._db.execute("PRAGMA synchronous = NORMAL")
                self._db.execute("CREATE TABLE IF NOT EXISTS run (key TEXT PRIMARY KEY, state TEXT NOT NULL)")
                self._db.execute(
                    "CREATE TABLE IF NOT EXISTS row (key TEXT PRIMARY KEY, arrays BLOB NOT NULL)"
                )
        except InputError:
            self._db.close()
            raise

    def get(self, key: str) -> Row | None:
        """Return the arrays kept under ``key``, or None."""
        with self._told(), self._lock:
            found = self._db.execute("SELECT arrays FROM row WHERE key = ?", (key,)).fetchone()
            return None if found is None else safetensors.numpy.load(found[0])

    def put(self, rows: Mapping[str, Row]) -> None:
        """Keep several rows; a key that is there already is replaced."""
        values = [(key, _packed(row)) for key, row in rows.items()]
        with self._told(), self._lock, self._db:
            self._db.executemany("INSERT OR REPLACE INTO row VALUES (?, ?)", values)

    def run_state(self, key: str) -> str | None:
        """Return what an interrupted run kept under ``key``, or None."""
        with self._told(), self._lock:
            found = self._db.execute("SELECT state FROM run WHERE key = ?", (key,)).fetchone()
            return None if found is None else str(found[0])

    def keep_run_state(self, key: str, state: str) -> None:
        """Keep what a run needs to go on after an interruption."""
        with self._told(), self._lock, self._db:
            self._db.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", (key, state))

    def forget_run_state(self, key: str) -> None:
        """Forget a run that came to its end."""
        with self._told(), self._lock, self._db:
            self._db.execute("DELETE FROM run WHERE key = ?", (key,))

    def __len__(self) -> int:
        with self._told(), self._lock:
            count: int = self._db.execute("SELECT count(*) FROM row").fetchone()[0]
            return count

    def close(self) -> None:
        """Close the file; the cache cannot be used afterwards."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say in the user's words what SQLite and the disk complain of."""
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            raise InputError(
                f"the feature cache {self.path} cannot be used: {error}; check the disk and the permissions, or "
                "choose another file"
            ) from error
        except (sqlite3.DatabaseError, SafetensorError) as error:
            raise InputError(
                f"expected a feature cache in {self.path}, got a damaged or foreign file ({error}); delete it, it "
                "will be made anew"
            ) from error


def _packed(row: Row) -> bytes:
    # safetensors writes the memory behind an array, whatever its strides
    return safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in row.items()})
