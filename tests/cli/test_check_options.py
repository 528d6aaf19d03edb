"""Lists of paths, quiet runs, tables, bounds, and how a run ends whatever happens."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from tests.cli.output import lines
from tests.conftest import Simdnn

from simdnn.audit.store import AuditStore
from simdnn.guard.guard import Guard

SIMDNN = [sys.executable, "-m", "simdnn"]


@pytest.fixture
def guard(digits: Path) -> Path:
    return digits / "guard.simdnn"


@pytest.fixture
def photos(digits: Path) -> list[Path]:
    return sorted((digits / "test" / "3").iterdir())[:12]


def given(monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))


def test_a_list_of_paths_on_standard_input(
    simdnn: Simdnn, guard: Path, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = Path(shutil.copy(photos[0], tmp_path / os.fsdecode(b"a\nb caf\xe9.png")))
    given(monkeypatch, b"\r\n".join([bytes(photos[1]), b"", bytes(photos[2])]))
    code, out, _ = simdnn("check", guard, "-", photos[3], "--json")
    assert (code, [line["path"] for line in lines(out)]) == (0, [*map(str, photos[1:4])])
    given(monkeypatch, bytes(odd) + b"\0" + bytes(photos[1]) + b"\0")
    out = simdnn("check", guard, "-0", "-", "--json")[1]
    assert [line["path"] for line in lines(out)] == [str(odd), str(photos[1])]
    given(monkeypatch, b"\n")
    assert simdnn("check", guard, "-") == (
        2,
        "",
        "error: expected paths on standard input, one a line, got none\n",
    )


def test_a_quiet_run_prints_what_is_odd(
    simdnn: Simdnn, guard: Path, photos: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"")
    verdicts = list(Guard.load(guard).check([*photos, broken], alpha=0.3))
    odd = [v.path for v in verdicts if v.verdict != "clean"]
    code, out, err = simdnn("check", guard, *photos, broken, "--quiet", "--alpha", 0.3)
    said = out.splitlines()
    assert (code, err, 1 < len(odd) < len(verdicts)) == (1, "", True)
    assert [line[8:].partition(": ")[0] for line in said[:-1]] == odd
    assert said[-1].endswith(" possible attacks, 1 not readable")
    out = simdnn("check", guard, *photos, broken, "--quiet", "--alpha", 0.3, "--json")[1]
    assert [line["path"] for line in lines(out)] == odd


def test_verdicts_as_a_table(
    simdnn: Simdnn, guard: Path, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(photos[0], tmp_path / "=1+1.png")
    table = tmp_path / "verdicts.csv"
    assert simdnn("check", guard, photos[1], "=1+1.png", "--csv", table)[0] == 0
    with table.open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    (expected,) = Guard.load(guard).check(photos[1])
    assert (first["path"], first["verdict"]) == (str(photos[1]), expected.verdict)
    assert float(first["score"]) == pytest.approx(expected.score, abs=1e-6)
    assert [n["prototype"] for n in json.loads(first["evidence"])] == [n.prototype for n in expected.evidence]
    assert second["path"] == "'=1+1.png"


def test_what_is_passed_over_is_said(simdnn: Simdnn, guard: Path, photos: list[Path], tmp_path: Path) -> None:
    for name in ("a.png", "IMG_1.HEIC", "upload"):
        shutil.copy(photos[0], tmp_path / name)
    code, out, err = simdnn("check", guard, tmp_path, "--json")
    assert (code, len(out.splitlines())) == (0, 1)
    assert err == f"passed over 2 other files, such as {tmp_path}/IMG_1.HEIC\n"


def test_a_bound_on_pixels(simdnn: Simdnn, guard: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    code, out, _ = simdnn("check", guard, tmp_path / "a.png", "--max-pixels", 1000, "--batch-size", 1)
    assert (code, "expected at most 1,000 pixels, got 40 x 40" in out) == (1, True)


def test_the_bytes_that_were_judged_are_kept(guard: Path, photos: list[Path], tmp_path: Path) -> None:
    """Even if the file is another by the time of the verdict."""
    copies = [Path(shutil.copy(photo, tmp_path / photo.name)) for photo in photos]
    judged = Guard.load(guard).check_with_bytes(copies)
    first = next(judged)
    for copy in copies:
        copy.write_bytes(b"another")
    kept = [first, *judged]
    assert [data for _, data in kept] == [photo.read_bytes() for photo in photos]
    assert [verdict.path for verdict, _ in kept] == [str(copy) for copy in copies]


def test_kept_images_are_those_of_the_verdicts(
    simdnn: Simdnn, guard: Path, photos: list[Path], tmp_path: Path
) -> None:
    audit, folder = tmp_path / "a.db", tmp_path / "kept"
    options = ("--audit", audit, "--audit-images", folder, "--alpha", 0.3)
    assert simdnn("check", guard, *photos, *options)[0] == 0
    with AuditStore.open(audit, images=folder) as store:
        records = list(store.records())
        assert [store.image(record) for record in records] == [Path(r.path).read_bytes() for r in records]
        assert len(records) > 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
def test_a_full_disk_is_status_74(guard: Path, photos: list[Path]) -> None:
    commands = [["check", str(guard), str(photos[0])], ["info", str(guard)], ["fit", "--help"], ["--version"]]
    for command in commands:
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run([*SIMDNN, *command], stdout=full, stderr=subprocess.PIPE, check=False)
        assert (done.returncode, done.stderr.count(b"\n"), b"No space left" in done.stderr) == (74, 1, True)
    done = subprocess.run([*SIMDNN, *commands[0], "--csv", "/dev/full"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (74, b"error: cannot write /dev/full: No space left on device\n")


def test_an_internal_error_is_one_line_and_status_70(
    simdnn: Simdnn, guard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(Guard, "load", broken)
    code, out, err = simdnn("info", guard)
    assert (code, out, err.count("\n")) == (70, "", 1)
    assert err.startswith("internal error: ZeroDivisionError: two lines; please report it, ")
    monkeypatch.setenv("SIMDNN_DEBUG", "1")
    code, _, err = simdnn("info", guard)
    assert (code, err.startswith("Traceback"), "in broken" in err) == (70, True, True)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["info", "GUARD"], ["prototypes", "GUARD", "list"]]
)
def test_looking_loads_no_heavy_library(guard: Path, arguments: list[str]) -> None:
    code = (
        "import sys; from simdnn.cli import app; from simdnn.cli.run import run; status = run(app); "
        "print(status, sorted({'torch', 'torchvision', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    named = [str(guard) if word == "GUARD" else word for word in arguments]
    done = subprocess.run([sys.executable, "-c", code, *named], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_options_before_and_after_a_prototypes_command(
    simdnn: Simdnn, guard: Path, photos: list[Path], digits: Path, tmp_path: Path
) -> None:
    mine = shutil.copy(guard, tmp_path / "g.simdnn")
    weights = ("--weights", digits / "weights.safetensors")
    add = ("add", photos[0], "--label", "mine")
    for place, command in enumerate(
        [
            ("prototypes", *weights, mine, *add),
            ("prototypes", mine, *weights, *add),
            ("prototypes", mine, *add, *weights),
        ]
    ):
        code, out, err = simdnn(*command)
        assert (code, out.partition(";")[0], err) == (0, f"added mine/{place}", "")


def test_weights_are_found_beside_the_guard(
    simdnn: Simdnn, guard: Path, photos: list[Path], digits: Path, tmp_path: Path
) -> None:
    from simdnn.guard import file as guard_file

    header, tensors = guard_file.read(guard)
    header["networks"][0]["spec"]["weights"] = "/gone/weights.safetensors"
    guard_file.write(tmp_path / "g.simdnn", header, tensors)
    (tmp_path / "aaa.pth").write_bytes(b"no weights")
    assert "or put them beside the guard's file" in simdnn("check", tmp_path / "g.simdnn", photos[0])[2]
    shutil.copy(digits / "weights.safetensors", tmp_path / "renamed.safetensors")
    assert simdnn("check", tmp_path / "g.simdnn", photos[0])[0] == 0


def test_a_mean_and_a_size_for_each_network(simdnn: Simdnn, digits: Path, tmp_path: Path) -> None:
    network = (
        "--backbone",
        "simdnn.networks.digits:digits_network",
        "--weights",
        digits / "weights.safetensors",
    )
    command = ("fit", digits / "train", "-o", tmp_path / "g", *network, *network, "--size", 32, "--no-cache")
    means = ("--mean", "0.5,0.5,0.5", "--mean", "0.25,0.25,0.25")
    cut = ("--resize", 40, "--resize", 32)
    assert simdnn(*command, *means, *cut, "--std", "1,1,1", "--rule", "similarity")[0] == 0
    (facts,) = lines(simdnn("info", tmp_path / "g", "--json")[1])
    preprocess = [n["spec"]["preprocess"] for n in facts["networks"]]
    assert [spec["mean"][0] for spec in preprocess] == [0.5, 0.25]
    assert [(spec["resize"], spec["size"]) for spec in preprocess] == [(40, [32, 32]), (32, [32, 32])]
    code, _, err = simdnn(*command, *means, "--mean", "0,0,0")
    assert (code, err) == (
        2,
        "error: expected --mean once, or once for each of the 2 networks; got it 3 times\n",
    )


def test_seeds_give_a_guard_again(simdnn: Simdnn, digits: Path, tmp_path: Path) -> None:
    network = (
        "--backbone",
        "simdnn.networks.digits:digits_network",
        "--weights",
        digits / "weights.safetensors",
    )
    thresholds = []
    for seed in (5, 5, 6):
        command = ("fit", digits / "train", "-o", tmp_path / "g", *network, "--size", 32, "--no-cache")
        assert simdnn(*command, "--view-seed", seed, "--seed", 1)[0] == 0
        thresholds.append(json.loads(simdnn("info", tmp_path / "g", "--json")[1])["threshold"])
    assert thresholds[0] == pytest.approx(thresholds[1], abs=1e-9)
    assert thresholds[0] != pytest.approx(thresholds[2], abs=1e-6)


def test_a_device_or_a_pipe_is_no_place_for_a_guard(simdnn: Simdnn, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for output in (tmp_path / "pipe", "/dev/null"):
        code, _, err = simdnn("fit", "nowhere", "-o", output)
        assert code == 2
        assert err == (
            f"error: expected a file to write the guard to, got {output}, which is a device or a pipe; name a file\n"
        )
