"""The schema's steps lead to what the models say, and a store from the future is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, text

import simdnn.audit.migrations
from simdnn.audit.engine import connect
from simdnn.audit.records import HumanLabel
from simdnn.audit.schema import Base
from simdnn.audit.store import AuditStore
from simdnn.audit.upgrade import upgrade
from simdnn.errors import AuditError
from simdnn.guard.verdict import Verdict

TABLES = {"record", "label", "action", "shadow_check", "chain_head", "alembic_version"}


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
        assert context.get_current_revision() == "0011"
    engine.dispose()


def test_every_step_goes_down_and_up_again(target: str) -> None:
    engine = connect(target)
    upgrade(engine)
    assert _tables(engine) == TABLES
    config = Config()
    config.set_main_option("script_location", str(Path(simdnn.audit.migrations.__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert _tables(engine) == {"alembic_version"}
    upgrade(engine)
    assert _tables(engine) == TABLES
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
        match=r"^the audit store has schema revision 9999, newer than 0011 of this version; update simdnn$",
    ):
        AuditStore.open(target)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == ["9999"]
        assert connection.execute(text("SELECT count(*) FROM record")).scalar_one() == 1
    engine.dispose()


OLD_RECORD = """
INSERT INTO record (id, time, model_id, path, verdict, score, evidence, image_sha256,
                    human_label, human_class, labelled_by, labelled_at, note)
VALUES (:id, '2026-01-02 03:04:05.000678+00:00', 'm', :path, 'attack', 0.30000000000000004,
        '[{"prototype": "a/0", "label": "a", "similarity": 0.1, "exemplar": "e"}]', 'ab',
        :label, 'wolf', :by, :at, 'dim')
"""


def _write_first_schema(target: str) -> None:
    """Make a store as the first version did, with three records: labelled, not labelled, labelled."""
    engine = connect(target)
    config = Config()
    config.set_main_option("script_location", str(Path(simdnn.audit.migrations.__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for number, label in ((1, "attack"), (2, None), (5, "clean")):  # a server left gaps
            said = {"label": label, "by": "Ada" if label else None, "at": "2026-01-03 00:00:00.000000+00:00"}
            connection.execute(text(OLD_RECORD), {"id": number, "path": f"{number}.png"} | said)
    engine.dispose()


def test_the_first_schema_keeps_its_labels_and_is_chained(target: str) -> None:
    _write_first_schema(target)
    with AuditStore.open(target) as store:
        records = store.records()[::-1]
        assert [(record.id, record.path, record.human_label) for record in records] == [
            (1, "1.png", "attack"),
            (2, "2.png", None),
            (5, "5.png", "clean"),
        ]
        assert (records[0].time, records[0].score) == (datetime(2026, 1, 2, 3, 4, 5, 678, UTC), 0.1 + 0.2)
        assert (records[0].image_sha256, records[0].image_kept) == ("ab", None)
        assert store.labels(5) == [
            HumanLabel("clean", "wolf", "Ada", datetime(2026, 1, 3, tzinfo=UTC), "dim")
        ]
        assert store.labels(2) == []
        assert list(store.verify()) == []
        assert store.record(Verdict("new.png", "clean"), model_id="m") == 6
        assert list(store.verify()) == []


def test_going_down_leaves_the_latest_label(target: str, attack: Verdict) -> None:
    with AuditStore.open(target) as store:
        number = store.record(attack, model_id="m")
        store.label(number, "attack", by="ann")
        store.label(number, "clean", by="bob")
    engine = connect(target)
    config = Config()
    config.set_main_option("script_location", str(Path(simdnn.audit.migrations.__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        left = connection.execute(text("SELECT id, human_label, labelled_by FROM record")).all()
        columns = "time, model_id, path, verdict, evidence"
        connection.execute(
            text(f"INSERT INTO record ({columns}) VALUES ('2026-01-01', 'm', 'x', 'clean', '[]')")
        )
        assert connection.execute(text("SELECT max(id) FROM record")).scalar_one() == 2
    engine.dispose()
    assert [tuple(row) for row in left] == [(number, "clean", "bob")]


def test_an_older_store_is_not_read_before_it_was_upgraded(
    target: str, simdnn: Callable[..., tuple[int, str, str]]
) -> None:
    _write_first_schema(target)
    said = (
        "the audit store has schema revision 0001, older than 0011 of this version; reading changes nothing, "
        "so bring it up to date first: `simdnn audit STORE upgrade`"
    )
    assert simdnn("audit", target, "list") == (2, "", f"error: {said}\n")
    assert simdnn("audit", target, "upgrade") == (0, "the store has the schema of this version\n", "")
    code, out, _ = simdnn("audit", target, "list", "--json")
    assert (code, len(out.splitlines())) == (0, 3)


def test_many_records_are_chained_some_at_a_time(tmp_path: Path) -> None:
    """More than a page of them, each labelled."""
    path = tmp_path / "audit.db"
    _write_first_schema(str(path))
    said = {"label": "clean", "by": "Ada", "at": "2026-01-03 00:00:00.000000"}
    engine = connect(path)
    with engine.begin() as connection:
        connection.execute(
            text(OLD_RECORD), [{"id": number, "path": "x"} | said for number in range(6, 2106)]
        )
    engine.dispose()
    with AuditStore.open(path) as store:
        assert store.heads()["record"][0] == 2105
        assert store.heads()["label"][0] == 2102
        assert list(store.verify()) == []
