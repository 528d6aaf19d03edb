"""Bringing a store to the schema of this version, under a lock, so that first openers do not collide."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

from simdnn.errors import AuditError

LOCK = 5_119_000_814_101_117
"""Key of the advisory lock that upgrades hold on PostgreSQL; any number that nobody else uses."""


def upgrade(engine: Engine) -> None:
    """Upgrade to the newest revision.

    Raises
    ------
    AuditError
        If the store is of a revision that this version does not know, or is another program's SQLite file. A
        server's database may well hold tables of others.
    """
    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))  # a % would be interpolated
    scripts = ScriptDirectory.from_config(config)
    head = scripts.get_current_head()
    with engine.begin() as connection:
        if _revision(connection) == head:
            return
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        found = _revision(connection)  # again: another process may have upgraded it meanwhile
        known = {script.revision for script in scripts.walk_revisions()}
        if found is not None and found not in known:
            raise AuditError(
                f"the audit store has schema revision {found}, newer than {head} of this version; update simdnn"
            )
        tables = set(inspect(connection).get_table_names()) - {"alembic_version"}
        if found is None and tables and engine.dialect.name == "sqlite":
            raise AuditError(
                f"expected an audit store in {engine.url.database}, got another program's database"
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
