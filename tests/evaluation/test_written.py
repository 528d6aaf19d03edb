"""What the benchmark writes: where it cannot, that is said before any work, and earlier results stay."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from tests.conftest import Simdnn
from tests.evaluation.test_bench import PLAN

from simdnn.errors import OutputError
from simdnn.evaluation.plan_file import read_plan
from simdnn.evaluation.records import Records
from simdnn.evaluation.report import write_report
from simdnn.evaluation.written import write_readable


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """A plan whose data are nowhere, so that work on it fails."""
    path = tmp_path / "p.toml"
    path.write_text(PLAN.replace('builtin = "digits"', 'fit = "nowhere"\ntest = "nowhere"'), encoding="utf-8")
    return path


def full(_: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("below", [False, True])
def test_a_report_into_a_file_is_a_mistake(simdnn: Simdnn, plan: Path, tmp_path: Path, below: bool) -> None:
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    output = tmp_path / "file" / "report" if below else tmp_path / "file"
    code, out, err = simdnn("bench", "report", plan, "-o", output)
    assert (code, out) == (2, "")
    assert f"expected a folder, new or not, to write the report into, got {output}" in err
    assert (tmp_path / "file").read_text(encoding="utf-8") == "kept"


def test_where_nothing_can_be_written_is_said_before_the_work(
    simdnn: Simdnn, plan: Path, tmp_path: Path
) -> None:
    output = tmp_path / "nowhere" / "out"
    said = f"error: there is no folder {output.parent} to write out into\n"
    assert simdnn("bench", "gallery", plan, "--network", "absent", "-o", output) == (2, "", said)
    photos = tmp_path / "no-photos"
    assert simdnn("bench", "select-nonrobust", photos, "--plan", plan, "-o", output) == (2, "", said)


def test_a_full_disk_leaves_the_earlier_report(
    plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, folder = read_plan(plan), tmp_path / "report"
    page = write_report([(read, Records(read.records))], folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert page in before
    monkeypatch.setattr("simdnn.atomic.os.fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        write_report([(read, Records(read.records))], folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_others_may_read_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_readable(tmp_path / "new", "a \udc80")
    assert (tmp_path / "new").read_bytes() == b"a \\udc80"
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode
    (tmp_path / "new").chmod(0o640)
    write_readable(tmp_path / "new", b"b")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
