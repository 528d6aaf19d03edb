"""Exports: whole or not there at all, for the owner's eyes, and harmless to a spreadsheet."""

from __future__ import annotations

import csv
import json
import os
import resource
import stat
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from simdnn.audit.export import as_zip
from simdnn.audit.records import FIELDS
from simdnn.audit.store import AuditStore
from simdnn.guard.verdict import Neighbour, Verdict

Simdnn = Callable[..., tuple[int, str, str]]

MAIN = "import sys; sys.argv[0] = 'simdnn'; from simdnn.cli import main; main()"
FORMULAS = ("=1+1", "+1", "-1.png", "@SUM(1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "'=1")


@pytest.fixture
def path(tmp_path: Path, attack: Verdict) -> Path:
    """A store with a record for each start of a formula and one with a long note, all with negative scores."""
    path = tmp_path / "audit.db"
    with AuditStore.open(path) as store:
        for name in FORMULAS:
            evidence = (Neighbour(name, name, 0.5, name),)
            store.record(Verdict(name, "attack", name, name, -0.5, evidence=evidence), model_id="m")
        number = store.record(attack, model_id="m")
        store.label(number, "attack", by="=Ada", note='says "no", twice\nreally')
    return path


def test_every_field_comes_back(path: Path, simdnn: Simdnn, tmp_path: Path) -> None:
    table, lines = tmp_path / "out.csv", tmp_path / "out.jsonl"
    assert simdnn("audit", path, "export", "-o", table) == (0, f"wrote 10 records to {table}\n", "")
    assert simdnn("audit", path, "export", "-o", lines)[0] == 0
    with AuditStore.open(path) as store:
        records = [record.as_dict() for record in store.records()]
    assert [json.loads(line) for line in lines.read_text().splitlines()] == json.loads(json.dumps(records))
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == FIELDS
    for row, record in zip(rows, records, strict=True):
        plain = {name: cell.removeprefix("'") for name, cell in row.items()}  # as the description says
        assert json.loads(plain.pop("evidence")) == json.loads(json.dumps(record.pop("evidence")))
        assert plain == {
            name: "" if value is None else str(value) for name, value in record.items() if name in plain
        }
        assert float(row["score"]) == record["score"]
    code, out, _ = simdnn("audit", path, "export", "-o", "-")
    assert (code, out) == (0, lines.read_text())


def test_no_cell_of_text_starts_a_formula(path: Path, simdnn: Simdnn, tmp_path: Path) -> None:
    table = tmp_path / "out.csv"
    assert simdnn("audit", path, "export", "-o", table)[0] == 0
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["path"] for row in rows[1:]} == {f"'{name}" for name in FORMULAS}
    assert rows[0]["labelled_by"] == "'=Ada"
    assert {row["score"] for row in rows[1:]} == {"-0.5"}  # a number stays one
    risky = tuple(start[0] for start in FORMULAS[:-1])
    assert {name for row in rows for name, cell in row.items() if cell.startswith(risky)} == {"score"}


def test_only_the_owner_may_read_an_export(path: Path, simdnn: Simdnn, tmp_path: Path) -> None:
    table = tmp_path / "out.csv"
    table.write_text("an older one")
    table.chmod(0o644)
    (tmp_path / "link.csv").symlink_to(table)
    assert simdnn("audit", path, "export", "-o", tmp_path / "link.csv")[0] == 0
    assert stat.S_IMODE(table.stat().st_mode) == 0o600
    assert (tmp_path / "link.csv").is_symlink()
    assert table.read_text().startswith("id,time,")


def test_a_disk_that_is_full_leaves_the_older_export_and_nothing_else(path: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    table = tmp_path / "out" / "records.csv"
    table.parent.mkdir()
    table.write_text("an older one")
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "audit", str(path), "export", "-o", str(table)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )
    assert (done.returncode, done.stdout) == (74, "")
    assert done.stderr == f"error: cannot write {table}: File too large\n"
    assert [file.name for file in table.parent.iterdir()] == ["records.csv"]
    assert table.read_text() == "an older one"


@pytest.mark.parametrize("command", [("label", "1", "clean"), ("upgrade",)])
def test_a_store_on_a_full_disk_is_one_line(path: Path, command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "audit", str(path), *command],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith("disk I/O error\n")
    assert len(done.stderr.splitlines()) == 1
    with AuditStore.open(path) as store:
        assert store.count() == 10
        assert list(store.verify()) == []


def test_a_folder_and_a_device_in_the_place_of_a_file(path: Path, simdnn: Simdnn, tmp_path: Path) -> None:
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    said = f"error: cannot write {folder}: Is a directory\n"
    assert simdnn("audit", path, "export", "-o", folder) == (74, "", said)
    device = tmp_path / "null.csv"
    device.symlink_to(os.devnull)
    assert simdnn("audit", path, "export", "-o", device) == (0, f"wrote 10 records to {device}\n", "")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)
    full = tmp_path / "full.jsonl"
    full.symlink_to("/dev/full")
    said = f"error: cannot write {full}: No space left on device\n"
    assert simdnn("audit", path, "export", "-o", full) == (74, "", said)


@pytest.mark.parametrize("command", [("list", "--json"), ("show", "1")])
def test_a_screen_that_cannot_be_written(path: Path, command: tuple[str, ...]) -> None:
    run = [sys.executable, "-c", MAIN, "audit", str(path), *command]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(run, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (
        74,
        b"error: cannot write to standard output: No space left on device\n",
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(run, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_zip_has_the_images_and_the_records(tmp_path: Path, simdnn: Simdnn, attack: Verdict) -> None:
    path, images, output = tmp_path / "audit.db", tmp_path / "images", tmp_path / "out.zip"
    with AuditStore.open(path, images=images) as store:
        for image in (b"\x89PNG one", None, b"\xff\xd8 two", b"three"):
            store.record(attack, model_id="m", image=image)
        store.label(4, "clean")
        gone = store.images.path(sha256(b"\xff\xd8 two").hexdigest())  # type: ignore[union-attr]
        Path(gone).unlink()
    code, out, err = simdnn("audit", path, "export", "-o", output, "--images", images)
    assert (code, out, err) == (0, f"wrote 4 records to {output}\n", "")
    with zipfile.ZipFile(output) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["images/4.bin", "images/1.png", "records.jsonl", "missing.txt"]
        assert archive.read("images/1.png") == b"\x89PNG one"
        lines = archive.read("records.jsonl").splitlines()
        assert [json.loads(line)["id"] for line in lines] == [4, 3, 2, 1]
        assert archive.read("missing.txt").startswith(b"record 3: the image ")
    code, _, err = simdnn("audit", path, "export", "-o", output)
    said = "error: a .zip is of the images that were kept; say with --images where they are\n"
    assert (code, err) == (2, said)


def test_filters_and_a_memory_that_stays_flat(tmp_path: Path, simdnn: Simdnn, attack: Verdict) -> None:
    path, output = tmp_path / "audit.db", tmp_path / "out.jsonl"
    with AuditStore.open(path, images=tmp_path / "images") as store:
        store.record_all([(attack, b"%d" % (n % 7) * 10_000) for n in range(400)], model_id="m")
        store.label(7, "unsure")

        def peak(limit: int) -> int:
            tracemalloc.start()
            for _ in as_zip(store.stream(limit=limit), store.image):
                pass
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return most

        peak(1)
        assert peak(400) < peak(100) + 2_000_000  # all images at once are four million bytes
    options = ("--label", "unsure", "--class", "dog", "--p-max", 0.1)
    assert simdnn("audit", path, "export", "-o", output, *options)[0] == 0
    assert [json.loads(line)["id"] for line in output.read_text().splitlines()] == [7]
