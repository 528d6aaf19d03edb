"""What is changed behind the store's back is found, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from simdnn.audit.engine import connect
from simdnn.audit.store import AuditStore
from simdnn.guard.verdict import Neighbour, Verdict

Simdnn = Callable[..., tuple[int, str, str]]


@pytest.fixture
def store_of_five(target: str, attack: Verdict) -> str:
    """A store with five records, of which the second has two labels and the third one."""
    with AuditStore.open(target) as store:
        store.record_all([(replace(attack, path=f"{n}.png"), b"dog") for n in range(1, 6)], model_id="m")
        store.label(2, "attack", by="ann", note="sticker")
        store.label(2, "clean", by="bob")
        store.label(3, "clean")
    return target


def _edit(target: str, *statements: str) -> None:
    engine = connect(target)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # its owner can also switch the foreign keys off
            connection.execute(text("SET session_replication_role = replica"))
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def _faults(target: str, head: str | None = None) -> list[str]:
    with AuditStore.open(target, read_only=True) as store:
        return list(store.verify(head=head))


def test_an_untouched_store_has_no_faults(store_of_five: str) -> None:
    assert _faults(store_of_five) == []
    with AuditStore.open(store_of_five) as store:
        heads = store.heads()
        store.record(Verdict("6.png", "clean"), model_id="m")
        assert {table: number for table, (number, _) in heads.items()} == {
            "record": 5,
            "label": 3,
            "action": 3,
        }
    assert _faults(store_of_five, heads["record"][1]) == []
    assert _faults(store_of_five, heads["label"][1]) == []


@pytest.mark.parametrize(
    ("statement", "faults"),
    [
        ("UPDATE record SET verdict = 'clean' WHERE id = 2", ["record 2 was altered"]),
        ("UPDATE record SET score = score + 1e-16 WHERE id = 1", ["record 1 was altered"]),
        ("UPDATE record SET prototype = NULL WHERE id = 5", ["record 5 was altered"]),
        ("UPDATE record SET time = '2020-01-01 00:00:00+00:00' WHERE id = 4", ["record 4 was altered"]),
        ("UPDATE record SET path = (SELECT path FROM record WHERE id = 4) WHERE id IN (3, 4)",
         ["record 3 was altered"]),
        ("DELETE FROM record WHERE id = 4", ["record 4 is missing"]),
        ("DELETE FROM record WHERE id = 1", ["record 1 is missing"]),
        ("DELETE FROM record WHERE id > 3", ["records 4 to 5 are missing"]),
        ("UPDATE record SET id = 9 WHERE id = 4", ["record 4 is missing", "records 6 to 8 are missing"]),
        ("INSERT INTO record (id, time, model_id, path, verdict, evidence, chain) "
         "VALUES (6, '2020-01-01 00:00:00+00:00', 'm', 'x', 'clean', '[]', 'ab')", ["record 6 was altered"]),
        ("UPDATE label SET human_label = 'clean' WHERE id = 1", ["label 1 (of record 2) was altered"]),
        ("UPDATE label SET record_id = 1 WHERE id = 2", ["label 2 (of record 1) was altered"]),
        ("DELETE FROM label WHERE id = 2", ["label 2 is missing"]),
        ("DELETE FROM label WHERE id = 3", ["label 3 is missing"]),
        ("UPDATE record SET standing = 'attack' WHERE id = 3",
         ["record 3 does not have the label that was given last"]),
        ("UPDATE record SET standing = 'clean' WHERE id = 5",
         ["record 5 does not have the label that was given last"]),
        ("UPDATE action SET who = 'eve' WHERE id = 2", ["action 2 was altered"]),
        ("DELETE FROM action WHERE id = 1", ["action 1 is missing"]),
        ("DELETE FROM action WHERE id = 3", ["action 3 is missing"]),
        ("DELETE FROM chain_head WHERE table_name = 'label'", ["the end of the labels' chain is missing"]),
        ("UPDATE chain_head SET chain = 'ab' WHERE table_name = 'record'",
         ["the end of the records' chain was altered"]),
    ],
)  # fmt: skip
def test_each_kind_of_change_is_found(store_of_five: str, statement: str, faults: list[str]) -> None:
    _edit(store_of_five, statement)
    found = _faults(store_of_five)
    assert [fault for fault in found if "not added" not in fault] == faults


def test_records_that_changed_places_are_found(store_of_five: str) -> None:
    _edit(
        store_of_five,
        "UPDATE record SET id = 99 WHERE id = 4",
        "UPDATE record SET id = 4 WHERE id = 5",
        "UPDATE record SET id = 5 WHERE id = 99",
    )
    assert _faults(store_of_five) == [
        "record 4 was altered",
        "record 5 was altered",
        "the end of the records' chain was altered",
    ]


def test_a_chain_that_was_computed_anew_is_found_by_a_head_noted_before(
    tmp_path: Path, attack: Verdict
) -> None:
    """Whoever can write the store can make it look whole; they cannot make it hold the noted value."""
    honest, forged = tmp_path / "honest.db", tmp_path / "forged.db"
    for path, verdict in ((honest, attack), (forged, replace(attack, verdict="clean"))):
        with AuditStore.open(path) as store:
            store.record_all([(verdict, None)] * 3, model_id="m")
            if path == honest:
                head = store.heads()["record"][1]
    assert _faults(str(forged)) == []
    assert _faults(str(honest), head) == []
    assert _faults(str(forged), head) == [
        f"no row has the chain value {head}: it was deleted, or all up to it was rewritten"
    ]


def test_the_chain_is_what_its_description_says(tmp_path: Path) -> None:
    """Computed by hand: SHA-256 over the value before, a line break, and the row as canonical JSON."""
    with AuditStore.open(tmp_path / "audit.db") as store:
        store.record_all([(Verdict(name, "clean", score=2), None) for name in ("a", "\u00e9")], model_id="m")
        rows = store.records()[::-1]
        head = store.heads()["record"]
    chain = ""
    for row in rows:
        time = row.time.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")
        path = json.dumps(row.path)
        canonical = (
            f'{{"evidence":[],"id":{row.id},"image_kept":false,"model_id":"m","path":{path},'
            f'"score":2.0,"time":"{time}","verdict":"clean"}}'
        )
        chain = sha256(f"{chain}\n{canonical}".encode()).hexdigest()
    assert head == (2, chain)


_text = st.text(st.characters(codec=None), max_size=8)
_number = st.none() | st.floats() | st.integers(-5, 5)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    path=_text,
    label=st.none() | _text,
    score=_number,
    threshold=_number,
    similarity=st.floats(0, 1),
    note=st.none() | _text,
)
def test_whatever_is_recorded_is_found_untouched(
    target: str,
    path: str,
    label: str | None,
    score: float | None,
    threshold: float | None,
    similarity: float,
    note: str | None,
) -> None:
    evidence = (Neighbour("a/0", path, similarity, path),)
    verdict = Verdict(path, "attack", label=label, score=score, threshold=threshold, evidence=evidence)
    with AuditStore.open(target) as store:
        number = store.record(verdict, model_id="m")
        store.label(number, "attack", note=note)
        assert list(store.verify()) == []


def test_the_command_says_each_fault_and_fails(tmp_path: Path, simdnn: Simdnn, attack: Verdict) -> None:
    path, images = tmp_path / "audit.db", tmp_path / "images"
    with AuditStore.open(path, images=images) as store:
        store.record_all([(attack, b"one"), (attack, b"two"), (attack, b"three")], model_id="m")
        store.label(1, "clean")
        heads = store.heads()
    told = "".join(
        f"{number}, chain value {heads[table][1]}\n"
        for number, table in (("3 records", "record"), ("1 label", "label"), ("1 action", "action"))
    )
    assert simdnn("audit", path, "verify", "--images", images) == (0, f"{told}nothing was altered\n", "")
    assert simdnn("audit", path, "verify", "--head", heads["record"][1])[0] == 0
    one, two = (images / name[:2] / name for name in (sha256(word).hexdigest() for word in (b"one", b"two")))
    one.write_bytes(b"another")
    two.unlink()
    _edit(str(path), "UPDATE record SET path = 'other.png' WHERE id = 3")
    code, out, err = simdnn("audit", path, "verify", "--images", images)
    assert (code, err) == (1, "")
    assert out == (
        f"record 1: {one} was altered: its content does not match its name\n"
        f"record 2: the image {two.name[:16]}... is not in {images}: No such file or directory\n"
        f"record 3 was altered\n{told}3 faults\n"
    )
    code, out, _ = simdnn("audit", path, "verify", "--head", "ab" * 32)
    assert code == 1
    assert out.splitlines()[1].startswith(f"no row has the chain value {'ab' * 32}: ")


def test_an_image_that_was_never_kept_is_no_fault(tmp_path: Path, attack: Verdict) -> None:
    with AuditStore.open(tmp_path / "audit.db") as store:
        store.record(attack, model_id="m", image=b"dog")
    with AuditStore.open(tmp_path / "audit.db", images=tmp_path / "images", read_only=True) as store:
        assert list(store.verify()) == []
