"""Numbers about a store, on every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from simdnn.audit.records import Origin
from simdnn.audit.store import AuditStore
from simdnn.audit.summary import Summary
from simdnn.guard.verdict import Verdict


def test_counts_of_intervals_and_choices(tmp_path: Path) -> None:
    with AuditStore.open(tmp_path / "audit.db") as store:
        begin = datetime.now(UTC)
        given = [
            (Verdict(str(i), "attack" if i % 3 else "clean", classifier_label="ab"[i % 2]), None)
            for i in range(7)
        ]
        store.record_all(given, model_id="m", origins=[Origin("camera")] * 7)
        end = datetime.now(UTC) + timedelta(seconds=1)
        summary = Summary(store)
        hour = timedelta(hours=1)
        assert summary.counts([begin - hour, begin, end, end + hour]) == [{}, {"clean": 3, "attack": 4}, {}]
        assert summary.counts([end, end + hour]) == [{}]
        assert summary.choices() == {"classes": ["a", "b"], "models": ["m"], "tokens": ["camera"]}


def test_labels_are_taken_back_one_after_the_other(tmp_path: Path) -> None:
    with AuditStore.open(tmp_path / "audit.db") as store:
        number = store.record(Verdict("x", "attack"), model_id="m")
        for label in ("clean", "attack", "unsure"):
            store.label(number, label)
        given = [action.id for action in store.actions(what=("label",))]
        seen = []
        for action in given:
            store.undo(action)
            seen.append(store.get(number).human_label)
        assert seen == ["attack", "clean", None]
        assert not list(store.verify())
