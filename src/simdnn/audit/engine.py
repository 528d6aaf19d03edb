"""Connect to the database of a store: an SQLite file, or any other database that SQLAlchemy supports."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from simdnn.errors import AuditError

WAIT_SECONDS = 30
"""Time in seconds for which a writer on SQLite waits for another one."""


def connect(target: str | Path, *, read_only: bool = False) -> Engine:
    """Return an engine for the path of a file or the URL of a database; nothing is opened yet.

    With ``read_only``, no write permission is needed: neither for the file, nor its folder, nor a server's tables.

    Raises
    ------
    AuditError
        If a URL cannot be understood or its driver is not installed.
    """
    try:
        url = _url(str(target))
        file = _file(url)
        if read_only and file is not None:
            engine = create_engine(url, creator=lambda: _open_to_read(file))
        else:
            engine = create_engine(url)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise AuditError(
            f"cannot use the audit store's URL: {error}; expected a file, or a URL such as "
            "postgresql+psycopg://user@host/database (pip install 'simdnn[postgresql]')"
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_to_read if read_only else _prepare)
        event.listen(engine, "begin", _begin)
    return engine


def reading(engine: Engine) -> Engine:
    """Return the engine for read-only transactions, which see the store as it was when they began."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")
    return engine.execution_options(reading=True)


def name(engine: Engine) -> str:
    """Return the store's URL for the texts of errors, without passwords, which may also be in the query."""
    return engine.url.set(query={}).render_as_string(hide_password=True)


def file_of(engine: Engine) -> Path | None:
    """Return the file of an SQLite store; None for a server."""
    return _file(engine.url)


def _file(url: URL) -> Path | None:
    if (
        url.get_backend_name() != "sqlite"
        or not url.database
        or url.database.startswith((":memory:", "file:"))
    ):
        return None
    return Path(url.database)


def _url(target: str) -> URL:
    if "://" not in target:
        return URL.create("sqlite", database=target)
    try:
        url = make_url(target)
    except ValueError:  # its text would show what is in the place of the port, which may be a password
        raise ArgumentError("the port is not a number") from None
    if "@" in (url.host or ""):  # part of a password, which no error may show
        raise ArgumentError("an @ in a user's name or password is written %40")
    return url


def _open_to_read(path: Path) -> sqlite3.Connection:
    """Open a file without changing it, even on a full or read-only medium.

    SQLite's readers share a write-ahead log and its index, two files beside the store. With write permission they can
    be created and removed; without, existing ones are used. Without a log there is no writer, and none is needed.
    """
    log = Path(f"{path}-wal")
    uri = f"{path.absolute().as_uri()}?mode="
    may_write = os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK)
    if may_write or log.exists():
        try:
            return _opened(f"{uri}rw" if may_write else f"{uri}ro")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY or not path.is_file():
                raise
            if log.exists() and log.stat().st_size > 0:
                raise sqlite3.OperationalError(
                    f"{error}; its log {log.name} holds records that only someone who can write {path.parent} can "
                    "read: copy both files to a folder of your own and open the copy"
                ) from error
    return _opened(f"{uri}ro&immutable=1")


def _opened(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=WAIT_SECONDS)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")  # before this, SQLite has opened nothing
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _prepare_to_read(connection: Any, record: object) -> None:
    del record
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=ON")


def _prepare(connection: Any, record: object) -> None:
    """Set up a connection so that a committed record is on the disk, and readers do not wait for writers."""
    del record
    connection.isolation_level = None  # SQLAlchemy begins transactions, not the driver
    connection.execute(f"PRAGMA busy_timeout={1000 * WAIT_SECONDS}")
    _use_write_ahead_log(connection)
    connection.execute("PRAGMA synchronous=FULL")


def _use_write_ahead_log(connection: Any) -> None:
    """Switch to a write-ahead log; retry while another process does the same, since SQLite does not wait here."""
    end = monotonic() + WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or monotonic() > end:
                raise
            sleep(0.01)
        else:
            return


def _begin(connection: Connection) -> None:
    """Take the writer's lock when a transaction begins, so that it cannot fail at its end because of another writer."""
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
