"""What goes into a store comes out of it, on SQLite and on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import pytest

from simdnn.audit.records import AuditRecord, Origin
from simdnn.audit.store import AuditStore
from simdnn.errors import AuditError
from simdnn.guard.verdict import Verdict

MODEL = "5e" * 32
DOG_SHA256 = "cd6357efdd966de8c0cb2f876cc89ec74ce35f0968e11743987084bd42fb8944"  # of b"dog"


def test_every_field_round_trips(target: str, attack: Verdict) -> None:
    before = datetime.now(UTC)
    with AuditStore.open(target) as store:
        origin = Origin("camera-1", "r-1")
        number = store.record(attack, model_id=MODEL, image=b"dog", origin=origin)
    with AuditStore.open(target, create=False) as store:
        record = store.get(number)
    assert before <= record.time <= datetime.now(UTC)
    assert record == AuditRecord(
        id=number,
        time=record.time,
        model_id=MODEL,
        human_label=None,
        human_class=None,
        labelled_by=None,
        labelled_at=None,
        note=None,
        token="camera-1",
        request_id="r-1",
        image_bytes=3,
        **vars(attack) | {"image_sha256": DOG_SHA256, "image_kept": False},
    )
    assert record.time.tzinfo is UTC
    assert record.evidence == attack.evidence


def test_a_bare_verdict_round_trips(target: str) -> None:
    unreadable = Verdict("broken.png", "error", error="truncated after 10 of 20 bytes")
    with AuditStore.open(target) as store:
        record = store.get(store.record(unreadable, model_id=MODEL))
    assert {name: getattr(record, name) for name in vars(unreadable)} == vars(unreadable)
    assert record.image_sha256 is None


def test_a_path_that_is_no_unicode_is_kept_readable(target: str, attack: Verdict) -> None:
    with AuditStore.open(target) as store:
        number = store.record(replace(attack, path="caf\udce9.png"), model_id=MODEL)
        assert store.get(number).path == r"caf\udce9.png"


def test_a_batch_is_kept_whole_or_not_at_all(target: str, attack: Verdict) -> None:
    batch = [(replace(attack, path=f"{number}.png"), b"dog") for number in range(3)]
    with AuditStore.open(target) as store:
        numbers = store.record_all(batch, model_id=MODEL)
        assert [store.get(number).path for number in numbers] == ["0.png", "1.png", "2.png"]
        refused = replace(attack, verdict=cast("Any", None))  # the database refuses the last row
        with pytest.raises(AuditError, match=r"failed: .*verdict"):
            store.record_all([*batch, (refused, None)], model_id=MODEL)
        assert len(store.records()) == 3
        assert store.record_all([], model_id=MODEL) == []


def test_a_human_labels_a_record(target: str, attack: Verdict) -> None:
    with AuditStore.open(target) as store:
        first, second = store.record_all([(attack, None)] * 2, model_id=MODEL)
        untouched = store.get(second)
        before = store.get(first)
        labelled = store.label(first, "clean", by="Ada", human_class="wolf", note="dim light")
        assert labelled.labelled_at is not None
        assert before.time <= labelled.labelled_at <= datetime.now(UTC)
        assert labelled == replace(
            before,
            human_label="clean",
            human_class="wolf",
            labelled_by="Ada",
            labelled_at=labelled.labelled_at,
            note="dim light",
        )
        assert store.get(first) == labelled
        assert store.get(second) == untouched
        assert store.label(first, "attack", by="Bob").note is None  # the later label stands, as a whole


def test_records_are_filtered_and_newest_first(target: str, attack: Verdict) -> None:
    kinds = (attack, replace(attack, verdict="clean"), Verdict("x", "error"), attack)
    with AuditStore.open(target) as store:
        a, b, c, d = (store.record(kind, model_id=MODEL) for kind in kinds)
        store.label(a, "attack")
        store.label(b, "clean")

        def ids(**only: Any) -> list[int]:
            return [record.id for record in store.records(**only)]

        assert ids() == [d, c, b, a]
        assert ids(limit=2) == [d, c]
        assert ids(verdict="attack") == [d, a]
        assert ids(verdict="error") == [c]
        assert ids(label="clean") == [b]
        assert ids(unlabelled=True) == [d, c]
        assert ids(unlabelled=True, verdict="attack") == [d]
        time = store.get(c).time
        assert ids(since=time) == [d, c]
        assert ids(since=time + timedelta(microseconds=1)) == [d]
        assert ids(since=time.astimezone(timezone(timedelta(hours=5, minutes=30)))) == [d, c]


def test_unknown_record(target: str, attack: Verdict) -> None:
    with AuditStore.open(target) as store:
        with pytest.raises(AuditError, match=r"^no record 7 in the audit store; it is empty$"):
            store.get(7)
        low, _, high = store.record_all([(attack, None)] * 3, model_id=MODEL)
        expected = rf"^no record 7 in the audit store; its numbers go from {low} to {high}$"
        with pytest.raises(AuditError, match=expected):
            store.get(7)
        with pytest.raises(AuditError, match=expected):
            store.label(7, "attack")
        with pytest.raises(AuditError, match=r"failed: "):
            store.get(10**30)


def test_unknown_words(tmp_path: Path, attack: Verdict) -> None:
    with AuditStore.open(tmp_path / "audit.db") as store:
        number = store.record(attack, model_id=MODEL)
        with pytest.raises(AuditError, match=r"^expected the label attack or clean or unsure; got 'dog'$"):
            store.label(number, "dog")
        with pytest.raises(AuditError, match=r"^expected the label attack or clean or unsure; got 'dog'$"):
            store.records(label="dog")
        with pytest.raises(AuditError, match=r"^expected the verdict clean or attack or error; got 'dog'$"):
            store.records(verdict="dog")
        assert store.get(number).human_label is None
