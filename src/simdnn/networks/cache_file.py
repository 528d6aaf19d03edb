"""The SQLite file of a feature cache: created by the first process that needs it, readable by its owner only."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from simdnn.errors import InputError

_WAIT_SECONDS = 60.0
_APPLICATION = 0x53444E4E  # "SDNN", in the header of the file
_VERSION = 2
_FIRST_COLUMNS = [
    "key",
    "arrays",
]  # of the table "row" in the first version, whose header had no application id
_TABLES = (
    "CREATE TABLE row (key TEXT PRIMARY KEY, arrays BLOB NOT NULL, digest BLOB NOT NULL, used INTEGER NOT NULL)",
    "CREATE INDEX row_used ON row (used)",
    "CREATE TABLE run (key TEXT PRIMARY KEY, state TEXT NOT NULL)",
)


def opened(path: Path) -> sqlite3.Connection:
    """Open the file; it is created with its folder if missing. Errors as in `explained`."""
    with explained(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would let others read it
        db = sqlite3.connect(
            path, timeout=_WAIT_SECONDS, check_same_thread=False, isolation_level="IMMEDIATE"
        )
    try:
        with explained(path):
            _retry_while_busy(lambda: _make_tables(db, path))
            _retry_while_busy(
                lambda: db.execute("PRAGMA journal_mode = WAL").fetchall()
            )  # readers never wait
            db.execute("PRAGMA synchronous = NORMAL")
            _keep_to_owner(path)
    except BaseException:
        db.close()
        raise
    return db


def delete(path: Path) -> None:
    """Delete the file and SQLite's files beside it; InputError if it is not the file of a feature cache."""
    with explained(path):
        with path.open("rb") as file:
            header = file.read(72)
        if header[:16] != b"SQLite format 3\0" or header[68:72] != _APPLICATION.to_bytes(4, "big"):
            raise InputError(f"expected a feature cache in {path}, got a foreign file; delete it yourself")
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the disk into an InputError that says what to do."""
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        raise InputError(
            f"the feature cache {path} cannot be used: {error}; check the disk and the permissions, or "
            "choose another file"
        ) from error
    except sqlite3.DatabaseError as error:
        raise InputError(
            f"expected a feature cache in {path}, got a damaged or foreign file ({error}); delete it, and a new "
            "one will be made"
        ) from error


def _keep_to_owner(path: Path) -> None:
    """Make the file and SQLite's files beside it readable by the owner only, also those of an older version."""
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(OSError):  # not ours, or not there
            os.chmod(f"{path}{suffix}", 0o600)


def _make_tables(db: sqlite3.Connection, path: Path) -> None:
    with db:
        db.execute("BEGIN IMMEDIATE")
        application, version = (
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
        )
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        columns = [name for _, name, *_ in db.execute("PRAGMA table_info(row)")]
        if application != _APPLICATION and (tables - {"row"} or columns not in ([], _FIRST_COLUMNS)):
            raise InputError(
                f"expected a feature cache in {path}, got the database of another program; choose another file"
            )
        if application == _APPLICATION and version > _VERSION:
            raise InputError(
                f"the feature cache {path} was made by a newer version; choose another file, or delete it"
            )
        if (application, version) == (_APPLICATION, _VERSION):
            return
        for table in tables:
            db.execute(f"DROP TABLE {table}")
        for statement in _TABLES:
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {_APPLICATION}")
        db.execute(f"PRAGMA user_version = {_VERSION}")


def _retry_while_busy(step: Callable[[], object]) -> None:
    """Try again while another process creates the file: SQLite does not wait for a change of the journal mode."""
    until = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            step()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return
