"""What people said of a record stays, whatever is said later."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from simdnn.audit.store import AuditStore
from simdnn.errors import AuditError
from simdnn.guard.verdict import Verdict

Simdnn = Callable[..., tuple[int, str, str]]


def test_every_label_is_kept_and_the_latest_stands(target: str, attack: Verdict) -> None:
    with AuditStore.open(target) as store:
        first, second = store.record_all([(attack, None)] * 2, model_id="m")
        store.label(first, "attack", by="ann", human_class="stop", note="sticker on the sign")
        store.label(second, "clean", by="cem")
        store.label(first, "clean", by="bob")
        said = [(one.human_label, one.human_class, one.labelled_by, one.note) for one in store.labels(first)]
        assert said == [
            ("attack", "stop", "ann", "sticker on the sign"),
            ("clean", None, "bob", None),
        ]
        times = [one.labelled_at for one in store.labels(first)]
        assert times == sorted(times)
        latest = store.get(first)
        assert (latest.human_label, latest.labelled_by, latest.labelled_at) == ("clean", "bob", times[1])
        assert [record.id for record in store.records(label="attack")] == []
        assert [record.id for record in store.records(label="clean")] == [second, first]
        assert store.count(label="clean") == 2
        assert store.count(unlabelled=True) == 0


def test_a_record_without_labels_and_no_record(target: str, attack: Verdict) -> None:
    with AuditStore.open(target) as store:
        number = store.record(attack, model_id="m")
        assert store.labels(number) == []
        with pytest.raises(AuditError, match=r"^no record 7 in the audit store; its numbers go from 1 to 1$"):
            store.labels(7)


def test_the_command_shows_what_was_said_before(tmp_path: Path, simdnn: Simdnn, attack: Verdict) -> None:
    path = tmp_path / "audit.db"
    with AuditStore.open(path) as store:
        store.record(attack, model_id="m")
    first = ("attack", "--by", "ann", "--class", "stop", "--note", "two\nlines")
    assert simdnn("audit", path, "label", 1, *first) == (0, "record 1 is labelled attack\n", "")
    assert simdnn("audit", path, "label", 1, "clean") == (
        0,
        "record 1 is labelled clean; `show 1` lists its 1 earlier label\n",
        "",
    )
    lines = [line.split(maxsplit=3) for line in simdnn("audit", path, "show", 1)[1].splitlines()]
    said = [line[3] for line in lines if line[0] == "labelled"]
    assert said == [r"attack by ann, class stop: two\nlines", "clean"]
    shown = json.loads(simdnn("audit", path, "show", 1, "--json")[1])
    assert [(one["human_label"], one["note"]) for one in shown["labels"]] == [
        ("attack", "two\nlines"),
        ("clean", None),
    ]
