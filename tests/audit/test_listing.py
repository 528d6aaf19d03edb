"""The list for people fits their screen, and says what it leaves out."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.cells import cell_len

from simdnn.audit.records import AuditRecord
from simdnn.audit.store import AuditStore
from simdnn.cli.audit_list import listed
from simdnn.guard.verdict import Verdict

Simdnn = Callable[..., tuple[int, str, str]]

ATTACK = Verdict(
    "photographs/of/the/north/gate/2026/camera-17-frame-000123.png",
    "attack",
    label="speed limit 50",
    classifier_label="stop sign",
    score=-1.23456,
)


def _record(number: int, verdict: Verdict, human: str | None = None) -> AuditRecord:
    kept = {"human_class": None, "labelled_by": None, "labelled_at": None, "note": None, "image_kept": False}
    kept |= {"image_bytes": None, "token": None, "request_id": None}
    time = datetime(2026, 11, 23, 10, 11, 12, tzinfo=UTC)
    plain = {"image_sha256": None} | vars(verdict)
    return AuditRecord(id=number, time=time, model_id="m", human_label=human, **plain, **kept)  # type: ignore[arg-type]


RECORDS = [_record(1002, Verdict("x\n.png", "error")), _record(3, ATTACK, "clean")]


def test_a_wide_screen_gets_a_table() -> None:
    assert list(listed(RECORDS, 110)) == [
        "id    time (UTC)           verdict  score   classifier  looks like      human  image",
        r"1002  2026-11-23 10:11:12  error                                               x\n.png",
        "3     2026-11-23 10:11:12  attack   -1.235  stop sign   speed limit 50  clean  " + ATTACK.path,
    ]


def test_80_columns() -> None:
    assert list(listed(RECORDS, 80)) == [
        "1002  2026-11-23 10:11:12  error",
        r"  x\n.png",
        "3  2026-11-23 10:11:12  attack  score -1.235  classifier stop sign",
        "  looks like speed limit 50  human clean",
        "  photographs/of/the/north/gate/2026/camera-17-frame-000123.png",
    ]


def test_40_columns() -> None:
    assert list(listed(RECORDS, 40)) == [
        "1002  2026-11-23 10:11:12  error",
        r"  x\n.png",
        "3  2026-11-23 10:11:12  attack",
        "  score -1.235  classifier stop sign",
        "  looks like speed limit 50  human clean",
        "  photographs/of/the/north/gate/2026/cam",
        "  era-17-frame-000123.png",
    ]


@pytest.mark.parametrize("width", [30, 40, 80])
def test_wide_characters_take_two_columns(width: int) -> None:
    path = "写真/" * 20 + "一.png"
    lines = list(listed([_record(1, Verdict(path, "attack", label="犬"))], width))
    assert max(map(cell_len, lines)) <= width
    assert "".join(line.strip() for line in lines if not line.startswith("1") and "looks" not in line) == path


def test_a_table_of_many_records_widens_where_it_must() -> None:
    short, long = (Verdict("x.png", "attack", label=label) for label in ("dog", "a longer label"))
    records = [_record(number, short) for number in range(2000, 1000, -1)] + [_record(1, long)]
    lines = list(listed(iter(records), 200))
    assert len(lines) == 1002
    assert lines[1].index("x.png") == lines[400].index("x.png")
    assert lines[-1].index("x.png") - lines[1].index("x.png") == len("a longer label") - len("looks like")


def test_a_screenful_is_listed_and_the_rest_is_counted(tmp_path: Path, simdnn: Simdnn) -> None:
    path = tmp_path / "audit.db"
    with AuditStore.open(path) as store:
        store.record_all([(ATTACK, None)] * 60 + [(Verdict("b", "error"), None)] * 7, model_id="m")
    code, out, err = simdnn("audit", path, "list")
    assert (code, len(out.splitlines())) == (0, 51)
    assert err == "17 older records are not shown; --limit 67 shows all\n"
    code, out, err = simdnn("audit", path, "list", "--verdict", "attack", "--limit", 2)
    assert (code, len(out.splitlines())) == (0, 3)
    assert err == "58 older records are not shown; --limit 60 shows all\n"
    _, out, err = simdnn("audit", path, "list", "--limit", 67)
    assert (len(out.splitlines()), err) == (68, "")
    _, out, err = simdnn("audit", path, "list", "--json")
    assert (len(out.splitlines()), err) == (67, "")


def test_streaming_holds_few_records_and_misses_none(target: str) -> None:
    with AuditStore.open(target) as store:
        store.record_all([(ATTACK, None)] * 2500, model_id="m")
        stream = store.stream()
        assert next(stream).id == 2500
        store.record(ATTACK, model_id="m")  # nobody waits for a reader that is slow
        assert [record.id for record in stream] == list(range(2499, 0, -1))
        assert [record.id for record in store.stream(limit=1001)] == list(range(2501, 1500, -1))
        assert len(list(store.stream(limit=2000, verdict="attack"))) == 2000
        assert list(store.stream(limit=0)) == []


def test_memory_does_not_grow_with_the_store(tmp_path: Path) -> None:
    with AuditStore.open(tmp_path / "audit.db") as store:
        store.record_all([(ATTACK, None)] * 4000, model_id="m")

        def peak(limit: int) -> int:
            tracemalloc.start()
            for _ in listed(store.stream(limit=limit), 200):
                pass
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return most

        peak(10)
        assert peak(4000) < 2 * peak(1000)  # all of them at once take four times as much
