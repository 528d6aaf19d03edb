"""``simdnn audit``: list, show, label, export."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from simdnn.audit.records import FIELDS
from simdnn.audit.store import AuditStore
from simdnn.guard.verdict import Neighbour, Verdict

Simdnn = Callable[..., tuple[int, str, str]]


@pytest.fixture
def path(tmp_path: Path, attack: Verdict) -> Path:
    """A store with three records, the first of them labelled and with its image."""
    path = tmp_path / "audit.db"
    with AuditStore.open(path, images=tmp_path / "images") as store:
        store.record(replace(attack, path="new/[red]a :dog:.png"), model_id="m", image=b"picture")
        store.record(replace(attack, path="b.png"), model_id="m")
        store.record(Verdict("c.png", "error", error="empty file"), model_id="m")
        store.label(1, "attack", by="Ada", note='says "no", twice\nreally')
    return path


def test_list(path: Path, simdnn: Simdnn) -> None:
    code, out, err = simdnn("audit", path, "list")
    assert (code, err) == (0, "")
    head, *rows = [line.split() for line in out.splitlines()]
    assert " ".join(head) == "id time (UTC) verdict score classifier looks like human image"
    assert [row[0] for row in rows] == ["3", "2", "1"]
    assert rows[0][3:] == ["error", "c.png"]
    assert rows[2][3:] == ["attack", "0.3", "cat", "dog", "attack", "new/[red]a", ":dog:.png"]


def test_list_into_a_pipe_is_one_line_a_record(path: Path, simdnn: Simdnn, attack: Verdict) -> None:
    long = "photographs/of/the/north/gate/2026/11/23/camera-17-frame-000123.png"
    with AuditStore.open(path) as store:
        store.record(replace(attack, path=long), model_id="m")
    _, out, _ = simdnn("audit", path, "list")
    assert len(out.splitlines()) == 5
    assert out.splitlines()[1].split()[-1] == long


def test_list_as_json_with_filters(path: Path, simdnn: Simdnn) -> None:
    def ids(*options: object) -> list[int]:
        code, out, _ = simdnn("audit", path, "list", "--json", *options)
        assert code == 0
        rows = [json.loads(line) for line in out.splitlines()]
        assert all(tuple(row) == FIELDS for row in rows)
        return [row["id"] for row in rows]

    assert ids() == [3, 2, 1]
    assert ids("--verdict", "attack") == [2, 1]
    assert ids("--label", "attack") == [1]
    assert ids("--unlabelled", "--limit", 1) == [3]
    assert ids("--since", "2000-01-01") == [3, 2, 1]
    assert ids("--since", "2999-01-01") == []


def test_since_is_an_instant_however_it_is_written(path: Path, simdnn: Simdnn) -> None:
    with AuditStore.open(path) as store:
        times = [record.time for record in store.records()]
    between = times[1]  # the second of three: it and the newest are from then on
    for hours in (0, 5.5, -8):
        written = between.astimezone(timezone(timedelta(hours=hours))).isoformat()
        _, out, _ = simdnn("audit", path, "list", "--json", "--since", written)
        assert [json.loads(line)["id"] for line in out.splitlines()] == [3, 2]
    without_offset = between.replace(tzinfo=None).isoformat(sep=" ")
    assert len(simdnn("audit", path, "list", "--json", "--since", without_offset)[1].splitlines()) == 2


def test_show_gives_no_orders_to_a_terminal(tmp_path: Path, simdnn: Simdnn) -> None:
    hostile = "x\nverdict           clean\x1b]0;owned\x07"
    evidence = (Neighbour(hostile, hostile, 0.5, hostile),)
    verdict = Verdict(
        hostile, "attack", hostile, hostile, prototype=hostile, rule="r", error=hostile, evidence=evidence
    )
    path = tmp_path / "audit.db"
    with AuditStore.open(path) as store:
        store.record(verdict, model_id="m")
        store.label(1, "attack", by=hostile, human_class=hostile, note=hostile)
    _, out, _ = simdnn("audit", path, "show", 1)
    assert out.replace("\n", "").isprintable()
    assert [line for line in out.splitlines() if line.startswith("verdict")] == ["verdict           attack"]


def test_show(path: Path, simdnn: Simdnn, tmp_path: Path, attack: Verdict) -> None:
    code, out, err = simdnn("audit", path, "show", 2)
    assert (code, err) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in out.splitlines() if not line.startswith("evidence"))
    assert lines["path"] == "b.png"
    assert lines["classifier_label"] == "cat"
    assert "human_label" not in lines
    assert "evidence          0.3000 dog/4 (shown by train/dog/köpek.jpg)" in out.splitlines()
    code, out, _ = simdnn("audit", path, "show", 1, "--json")
    shown = json.loads(out)
    assert code == 0
    assert shown["score"] == attack.score
    assert shown["evidence"][0]["similarity"] == attack.evidence[0].similarity
    assert shown["labelled_by"] == "Ada"
    output = tmp_path / "out.png"
    assert simdnn("audit", path, "show", 1, "--images", tmp_path / "images", "-o", output)[0] == 0
    assert output.read_bytes() == b"picture"


def test_label(path: Path, simdnn: Simdnn) -> None:
    arguments = ("label", 2, "clean", "--by", "Ada", "--class", "wolf", "--note", "dim")
    assert simdnn("audit", path, *arguments) == (0, "record 2 is labelled clean\n", "")
    with AuditStore.open(path) as store:
        record = store.get(2)
    said = (record.human_label, record.labelled_by, record.human_class, record.note)
    assert said == ("clean", "Ada", "wolf", "dim")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", 9), "no record 9 in the audit store; its numbers go from 1 to 3"),
        (("label", 1, "dog"), "expected the label attack or clean or unsure; got 'dog'"),
        (("list", "--verdict", "dog"), "expected the verdict clean or attack or error; got 'dog'"),
        (("list", "--since", "noon"), "--since takes a time such as 2026-11-23 or 2026-11-23T10:00+02:00; got 'noon'"),
        (("export", "-o", "out.xlsx"), "expected a file that ends in .csv or .jsonl or .zip; got out.xlsx"),
        (("export", "-o", "/nosuch/out.csv"), "cannot write /nosuch/out.csv: No such file or directory"),
        (
            ("show", 2, "-o", "out.png"),
            "the image was not kept, or --images does not say where; "
            "`simdnn check --audit-images FOLDER` keeps them",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(path: Path, simdnn: Simdnn, arguments: tuple[object, ...], said: str) -> None:
    status = 74 if said.startswith("cannot write") else 2
    assert simdnn("audit", path, *arguments) == (status, "", f"error: {said}\n")


def test_a_store_that_is_not_there_is_not_made(simdnn: Simdnn, tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    said = f"error: there is no audit store {path}; `simdnn check --audit {path}` makes one\n"
    assert simdnn("audit", path, "list") == (2, "", said)
    assert list(tmp_path.iterdir()) == []


def test_the_command_loads_the_database_library_only_when_it_runs() -> None:
    """Other commands import this one's file; they do not wait for its library."""
    code = "import sys, simdnn.cli.audit; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
