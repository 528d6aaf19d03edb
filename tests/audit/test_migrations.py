"""The schema's steps lead to what the models say, and a store from the future is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, text

import simdnn.audit.migrations
from simdnn.audit.engine import connect
from simdnn.audit.schema import Base
from simdnn.audit.store import AuditStore
from simdnn.audit.upgrade import upgrade
from simdnn.errors import AuditError
from simdnn.guard.verdict import Verdict


def _tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


def test_a_fresh_store_is_what_the_models_say(target: str) -> None:
    AuditStore.open(target).close()
    engine = connect(target)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []
        assert context.get_current_revision() == "0002"
    engine.dispose()


def test_every_step_goes_down_and_up_again(target: str) -> None:
    engine = connect(target)
    upgrade(engine)
    assert _tables(engine) == {"record", "label", "chain_head", "alembic_version"}
    config = Config()
    config.set_main_option("script_location", str(Path(simdnn.audit.migrations.__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert _tables(engine) == {"alembic_version"}
    upgrade(engine)
    assert _tables(engine) == {"record", "label", "chain_head", "alembic_version"}
    engine.dispose()


def test_opening_again_changes_nothing(target: str, attack: Verdict) -> None:
    with AuditStore.open(target) as store:
        number = store.record(attack, model_id="m")
    with AuditStore.open(target) as store:
        assert [record.id for record in store.records()] == [number]


def test_a_newer_store_is_refused_and_left_alone(target: str, attack: Verdict) -> None:
    with AuditStore.open(target) as store:
        store.record(attack, model_id="m")
    engine = create_engine(connect(target).url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(
        AuditError,
        match=r"^the audit store has schema revision 9999, newer than 0002 of this version; update simdnn$",
    ):
        AuditStore.open(target)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == ["9999"]
        assert connection.execute(text("SELECT count(*) FROM record")).scalar_one() == 1
    engine.dispose()
