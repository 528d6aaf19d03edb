"""Bringing a store to the schema of this version, under a lock, so that first openers do not collide."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from simdnn.errors import AuditError

LOCK = 5_119_000_814_101_117
"""Key of the advisory lock that upgrades hold on PostgreSQL; any number that nobody else uses."""


def upgrade(engine: Engine) -> None:
    """Upgrade to the newest revision; AuditError if the store is of one that this version does not know."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
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
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
