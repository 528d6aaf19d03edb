"""Connecting to where the records are: an SQLite file, or any database that SQLAlchemy knows."""

from __future__ import annotations

from pathlib import Path
from sqlite3 import OperationalError
from time import monotonic, sleep
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from simdnn.errors import AuditError

WAIT_SECONDS = 30
"""How long a writer waits for another to finish on SQLite."""


def connect(target: str | Path) -> Engine:
    """Return an engine for a file's path or a database's URL; nothing is opened yet.

    Raises
    ------
    AuditError
        If a URL cannot be understood or its driver is not installed.
    """
    try:
        engine = create_engine(_url(str(target)))
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise AuditError(
            f"cannot use the audit store's URL: {error}; expected a file, or a URL such as "
            "postgresql+psycopg://user@host/database (pip install 'simdnn[postgresql]')"
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
    return engine


def name(engine: Engine) -> str:
    """Name the store for an error's text, without its password, which may also stand in the query."""
    return engine.url.set(query={}).render_as_string(hide_password=True)


def file_of(engine: Engine) -> Path | None:
    """Return the file that an SQLite store is in; None for a server."""
    database = engine.url.database
    return Path(database) if engine.dialect.name == "sqlite" and database else None


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
        except OperationalError as error:
            if "locked" not in str(error) or monotonic() > end:
                raise
            sleep(0.01)
        else:
            return


def _begin(connection: Connection) -> None:
    """Take the writer's lock at the start, so that no writer finds at its end that another was there."""
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
