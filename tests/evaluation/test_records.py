"""Records survive a stop, and what is broken is tried again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simdnn.errors import InputError
from simdnn.evaluation.records import Records, cell_key


def test_what_was_added_is_on_the_disk_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "records" / "t.jsonl"
    records = Records(path)
    records.add({"key": "a", "value": 1})
    records.add({"key": "b", "error": "no weights"})
    again = Records(path)
    assert again.has("a")
    assert not again.has("b")
    assert not again.has("c")
    again.add({"key": "b", "value": 2})
    assert [r.get("value") for r in Records(path)] == [1, 2]
    assert len(path.read_text(encoding="utf-8").splitlines()) == 3


def test_what_breaks_again_for_the_same_reason_is_written_once(tmp_path: Path) -> None:
    records = Records(tmp_path / "t.jsonl")
    for reason in ("no weights", "no weights", "out of memory"):
        records.add({"key": "a", "error": reason})
    lines = (tmp_path / "t.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["error"] for line in lines] == ["no weights", "out of memory"]


def test_a_last_line_that_a_crash_cut_off_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"key": "a", "value": 1}\n{"key": "b", "val', encoding="utf-8")
    before = path.read_bytes()
    records = Records(path)
    assert [record["key"] for record in records] == ["a"]
    assert path.read_bytes() == before  # who only reads, such as a report beside a run, changes nothing
    records.add({"key": "b", "value": 2})
    assert [json.loads(line)["key"] for line in path.read_text(encoding="utf-8").splitlines()] == ["a", "b"]


def test_a_last_line_without_its_line_break_stays_a_line(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"key": "a", "value": 1}', encoding="utf-8")
    records = Records(path)
    for key in ("b", "c"):
        records.add({"key": key, "value": 2})
    assert [record["key"] for record in Records(path)] == ["a", "b", "c"]
    assert len(path.read_text(encoding="utf-8").splitlines()) == 3


def test_records_that_another_run_added_meanwhile_stay(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"key": "a"}\n{"key": "b", "val', encoding="utf-8")
    records = Records(path)
    path.write_text('{"key": "a"}\n{"key": "b", "value": 1}\n', encoding="utf-8")
    records.add({"key": "c"})
    assert [record["key"] for record in Records(path)] == ["a", "b", "c"]


def test_a_line_that_a_full_disk_cut_off_is_cut_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.jsonl"
    records = Records(path)
    records.add({"key": "a"})

    def cut_off(*_: object, **__: object) -> object:
        with path.open("ab") as file:
            file.write(b'{"key": "b", "val')
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("simdnn.evaluation.records.json.dumps", cut_off)
        with pytest.raises(OSError, match="No space"):
            records.add({"key": "b"})
    records.add({"key": "b", "value": 2})
    assert [record["key"] for record in Records(path)] == ["a", "b"]


def test_a_record_that_is_added_again_comes_last(tmp_path: Path) -> None:
    records = Records(tmp_path / "t.jsonl")
    for key in ("a", "b", "a"):
        records.add({"key": key})
    assert [record["key"] for record in records] == ["b", "a"]
    assert [record["key"] for record in Records(tmp_path / "t.jsonl")] == ["b", "a"]


def test_any_other_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"key": "a"}\nnonsense\n{"key": "b"}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"t\.jsonl, line 2: expected a record, got 'nonsense'"):
        Records(path)


def test_the_key_knows_every_part_and_no_order() -> None:
    assert cell_key({"a": 1, "b": [2]}) == cell_key({"b": [2], "a": 1})
    assert cell_key({"a": 1, "b": [2]}) != cell_key({"a": 1, "b": [3]})
