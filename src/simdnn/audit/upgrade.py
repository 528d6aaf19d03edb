"""Check the schema of a store, and upgrade it to this version under a lock."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

from simdnn.audit.engine import name, reading
from simdnn.errors import AuditError

LOCK = 5_119_000_814_101_117
"""Key of the advisory lock that upgrades hold on PostgreSQL; an arbitrary number that others are unlikely to use."""


def upgrade(engine: Engine) -> None:
    """Upgrade a store to the newest revision; if it has that already, nothing is locked or written.

    Raises
    ------
    AuditError
        If this version does not know the store's revision, or it is another program's SQLite file. A server's database
        may hold tables of other programs.
    """
    config, scripts = _scripts()
    head = scripts.get_current_head()
    with reading(engine).connect() as connection:
        if _revision(connection) == head:
            return
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        found = _revision(connection)  # again: another process may have upgraded it meanwhile
        _refuse_unknown(found, scripts)
        tables = set(inspect(connection).get_table_names()) - {"alembic_version"}
        if found is None and tables and engine.dialect.name == "sqlite":
            raise AuditError(
                f"expected an audit store in {engine.url.database}, got another program's database"
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def require_newest(engine: Engine) -> None:
    """Raise AuditError unless the store has the newest revision, since reading must not upgrade it."""
    _, scripts = _scripts()
    head = scripts.get_current_head()
    with reading(engine).connect() as connection:
        found = _revision(connection)
    if found is None:
        raise AuditError(f"expected an audit store in {name(engine)}, got a database without its tables")
    _refuse_unknown(found, scripts)
    if found != head:
        raise AuditError(
            f"the audit store has schema revision {found}, older than {head} of this version; reading changes "
            "nothing, so bring it up to date first: `simdnn audit STORE upgrade`"
        )


def newest_revision() -> str:
    """Return the newest revision of the schema that this version knows."""
    return str(_scripts()[1].get_current_head())


def _refuse_unknown(found: str | None, scripts: ScriptDirectory) -> None:
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        raise AuditError(
            f"the audit store has schema revision {found}, newer than {scripts.get_current_head()} of this "
            "version; update simdnn"
        )


def _scripts() -> tuple[Config, ScriptDirectory]:
    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))  # a % would be interpolated
    return config, ScriptDirectory.from_config(config)


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
