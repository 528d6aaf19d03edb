"""Connecting to where the records are: an SQLite file, or any database that SQLAlchemy knows."""

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
"""How long a writer waits for another to finish on SQLite."""


def connect(target: str | Path, *, read_only: bool = False) -> Engine:
    """Return an engine for a file's path or a database's URL; nothing is opened yet.

    One that only reads needs no right to write: neither the file, nor its folder, nor a table of a server.

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
    """Return the engine for transactions that only read and see the store as it was when they began."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")
    return engine.execution_options(reading=True)


def name(engine: Engine) -> str:
    """Name the store for an error's text, without its password, which may also stand in the query."""
    return engine.url.set(query={}).render_as_string(hide_password=True)


def file_of(engine: Engine) -> Path | None:
    """Return the file that an SQLite store is in; None for a server."""
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
    except ValueError:  # its text would show what stands in the place of the port: a password, maybe
        raise ArgumentError("the port is not a number") from None
    if "@" in (url.host or ""):  # the rest of a password, which no error may show
        raise ArgumentError("an @ in a user's name or password is written %40")
    return url


def _open_to_read(path: Path) -> sqlite3.Connection:
    """Open a file without changing it, if need be on a medium that is full or that nobody can write.

    SQLite's readers share a log and an index of it, two files beside the store. Who may write the store may also
    make and remove them; others use what is there. Where no log is, nobody writes and none is needed.
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
    """Make a connection durable: an acknowledged record is on the disk; readers do not wait for writers."""
    del record
    connection.isolation_level = (
        None  # transactions begin where SQLAlchemy says, not where the driver guesses
    )
    connection.execute(f"PRAGMA busy_timeout={1000 * WAIT_SECONDS}")
    _keep_a_log(connection)
    connection.execute("PRAGMA synchronous=FULL")


def _keep_a_log(connection: Any) -> None:
    """Let readers and a writer go side by side; SQLite does not wait here for others that are about the same."""
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
    """Take the writer's lock at the start, so that no writer finds at its end that another was there."""
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
