"""``simdnn attack`` on the network of digits."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from tests.cli.output import lines
from tests.conftest import Simdnn
from tests.guard.networks import NAME, digits_backbone

from simdnn.attacks import ATTACKS, FGSM
from simdnn.digits import IN_UNITS
from simdnn.errors import InputError
from simdnn.evaluation.attack_files import attack_files
from simdnn.guard.guard import Guard
from simdnn.networks.backbone import load_backbone
from simdnn.networks.digits import SIDE
from simdnn.networks.extractor import Extractor

NETWORK = [
    "--backbone",
    "simdnn.networks.digits:digits_network",
    "--mean",
    "0,0,0",
    "--std",
    "1,1,1",
    "--size",
    32,
]


@pytest.fixture
def network(digits: Path) -> list[object]:
    return [*NETWORK, "--weights", digits / "weights.safetensors"]


def test_it_writes_pngs_floats_and_a_record(
    simdnn: Simdnn, digits: Path, network: list[object], tmp_path: Path
) -> None:
    out = tmp_path / "attacked"
    code, out_text, _ = simdnn(
        "attack", "pgd", "--eps", 0.1, digits / "test" / "3", "-o", out, "--limit", 20, *network
    )
    assert code == 0
    assert "of 20 images that were classified correctly before the attack" in out_text
    record = json.loads((out / "attack.json").read_text(encoding="utf-8"))
    assert record["settings"]["steps"] == 20
    assert record["misclassified"]["value"] > 0.9
    assert len(record["images"]) == 20
    for entry in record["images"]:
        original = np.asarray(Image.open(entry["path"]).convert("RGB"), dtype=np.float64) / 255
        picture = np.asarray(Image.open(out / entry["attacked"]), dtype=np.float64) / 255
        floats = load_file((out / entry["attacked"]).with_suffix(".safetensors"))["image"].transpose(1, 2, 0)
        assert np.abs(picture - floats).max() <= 0.5 / 255 + 1e-6
        assert np.abs(floats - original).max() == pytest.approx(entry["linf"], abs=1e-6)
        assert entry["linf"] <= 0.1 + 1e-6
        assert np.linalg.norm(floats - original) == pytest.approx(entry["l2"], rel=1e-4)
        assert entry["misclassified_8bit"] == (entry["label_after"] != entry["label"])


def test_a_stopped_run_goes_on_and_gives_the_same(
    simdnn: Simdnn, digits: Path, network: list[object], tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    command = [
        "attack",
        "pgd",
        "--eps",
        0.1,
        "--steps",
        4,
        digits / "test" / "5",
        "--batch-size",
        8,
        *network,
    ]
    assert simdnn(*command, "-o", whole, "--limit", 24)[0] == 0
    assert simdnn(*command, "-o", parts, "--limit", 8)[0] == 0
    first = (parts / "5").stat().st_mtime_ns, sorted(p.stat().st_mtime_ns for p in (parts / "5").iterdir())
    assert simdnn(*command, "-o", parts, "--limit", 24)[0] == 0
    assert sorted(p.stat().st_mtime_ns for p in (parts / "5").iterdir())[:16] == first[1]
    for picture in (whole / "5").glob("*.png"):
        assert picture.read_bytes() == (parts / "5" / picture.name).read_bytes()
    code, _, err = simdnn("attack", "fgsm", "--eps", 0.1, digits / "test" / "5", "-o", parts, *network)
    assert code == 2
    assert "holds an attack with another attack, " in err


def test_what_cannot_be_read_is_skipped_by_name(
    simdnn: Simdnn, digits: Path, network: list[object], tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    good = next((digits / "test" / "1").iterdir())
    (photos / "good.png").write_bytes(good.read_bytes())
    (photos / "bad.png").write_bytes(good.read_bytes()[:60])
    code, out_text, err = simdnn(
        "attack", "fgsm", "--eps", 0.1, photos, "-o", tmp_path / "out", "--json", *network
    )
    assert code == 1
    assert "bad.png" in err
    assert {Path(line["path"]).name: "error" in line for line in lines(out_text)} == {
        "bad.png": True,
        "good.png": False,
    }


def test_labels_may_come_from_the_folders(
    simdnn: Simdnn, digits: Path, network: list[object], tmp_path: Path
) -> None:
    command = [
        "attack",
        "fgsm",
        "--eps",
        0.1,
        *network,
        "--labels",
        "folders",
        "-o",
        tmp_path / "out",
        "--json",
    ]
    code, out_text, _ = simdnn(*command, digits / "test" / "7", "--limit", 3)
    assert code == 0
    assert {line["label"] for line in lines(out_text)} == {"7"}
    strange = tmp_path / "seven"
    strange.mkdir()
    (strange / "a.png").write_bytes(next((digits / "test" / "7").iterdir()).read_bytes())
    command[-2] = tmp_path / "other"
    code, _, err = simdnn(*command, strange)
    assert code == 2
    assert (
        "no output of the network is named as the folder seven; name the folder by the output's number" in err
    )
    assert not (tmp_path / "other").exists()


def test_a_folder_that_names_two_outputs_is_refused(digits: Path, tmp_path: Path) -> None:
    backbone = digits_backbone(digits)
    backbone.categories = ("nought", "one", "Crane", "three", "four", "crane", *"6789")
    (tmp_path / "crane").mkdir()
    photo = tmp_path / "crane" / "a.png"
    photo.write_bytes(next((digits / "test" / "7").iterdir()).read_bytes())
    with pytest.raises(InputError, match="2 outputs of the network are named as the folder crane"):
        attack_files(FGSM(0.1), backbone, [photo], tmp_path / "out", labels="folders")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pgdd", "--eps", 0.1], "expected an attack among fgsm, pgd, ddn"),
        (["pgd"], "pgd needs eps"),
        (["ddn", "--steps", 10, "--eps", 0.1], "ddn has no parameter eps; it has steps, levels"),
        (["pgd", "--eps", -0.1], "pgd: expected a number above 0 for eps, got -0.1"),
        (
            ["mifgsm", "--eps", 0.1, "--param", "steps=2.5"],
            "mifgsm: expected a whole number above 0 for steps",
        ),
        (["mifgsm", "--eps", 0.1, "--param", "momentum"], "--param takes name=value"),
        (["apgd", "--eps", 0.1, "--param", "loss=cf"], "apgd: expected loss ce or dlr, got 'cf'"),
        (["mifgsm", "--eps", 0.1, "--param", "eps=0.2"], "eps is given twice; give it once"),
        (
            ["pgd", "--eps", 8],
            "expected eps of at most 1, since images are in [0, 1], got 8; for 8 of 255 levels, ",
        ),
        (["cw", "--param", "confidence=NaN"], "cw: expected a number of 0 or more for confidence, got nan"),
        (
            ["ddn", "--steps", 3, "--param", "levels=1"],
            "expected a whole number of 2 or more for levels, got 1",
        ),
        (
            ["fgsm", "--eps", 0.1, "--device", "gpu"],
            "expected an available device, such as cpu or cuda, got 'gpu'",
        ),
        (["fgsm", "--eps", 0.1, "--rule", "similarity"], "--rule needs --detector"),
        (["fgsm", "--eps", 0.1, "--trust", "mine:make"], "--trust needs --detector"),
        (
            ["fgsm", "--eps", 0.1, "--weights", "w.pth"],
            "expected --weights once, for the one network, got it 2 times",
        ),
        (["fgsm", "--eps", 0.1, "--labels", "mine"], "--labels is one of predicted, folders; got 'mine'"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_work(
    simdnn: Simdnn, digits: Path, network: list[object], tmp_path: Path, arguments: list[object], message: str
) -> None:
    code, _, err = simdnn("attack", *arguments, digits / "test" / "1", "-o", tmp_path / "out", *network)
    assert code == 2
    assert message in err
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_else_is_refused(
    simdnn: Simdnn, digits: Path, network: list[object], tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("kept", encoding="utf-8")
    code, _, err = simdnn("attack", "fgsm", "--eps", 0.1, digits / "test" / "1", "-o", tmp_path, *network)
    assert code == 2
    assert "expected an empty or new folder" in err
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "kept"


def test_a_photograph_above_the_working_folder_is_not_overwritten(
    simdnn: Simdnn, digits: Path, network: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = tmp_path / "mine.png"
    photo.write_bytes(next((digits / "test" / "1").iterdir()).read_bytes())
    before = photo.read_bytes()
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert simdnn("attack", "fgsm", "--eps", 0.1, "../mine.png", "-o", "../out", *network)[0] == 0
    assert photo.read_bytes() == before
    assert (tmp_path / "out" / tmp_path.name / "mine.png").is_file()


def test_no_attacked_picture_is_overwritten_by_another(
    simdnn: Simdnn, digits: Path, network: list[object], tmp_path: Path
) -> None:
    for place, digit in (("a", "1"), ("b", "2")):
        (tmp_path / place / "same").mkdir(parents=True)
        picture = next((digits / "test" / digit).iterdir())
        (tmp_path / place / "same" / "x.png").write_bytes(picture.read_bytes())
    command = ["attack", "fgsm", "--eps", 0.1, *network]
    message = "since their folders have the same name; attack them into two output folders"
    assert message in simdnn(*command, tmp_path / "a", tmp_path / "b", "-o", tmp_path / "at once")[2]
    assert simdnn(*command, tmp_path / "a", "-o", tmp_path / "out")[0] == 0
    first = (tmp_path / "out" / "same" / "x.png").read_bytes()
    code, _, err = simdnn(*command, tmp_path / "b", "-o", tmp_path / "out")
    assert (code, message in err) == (2, True)
    assert (tmp_path / "out" / "same" / "x.png").read_bytes() == first
    code, out_text, _ = simdnn(*command, tmp_path / "a", tmp_path / "a", "-o", tmp_path / "twice", "--json")
    assert (code, len(out_text.splitlines())) == (0, 1)


def test_what_could_not_be_read_is_tried_again(
    simdnn: Simdnn, digits: Path, network: list[object], tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    picture = next((digits / "test" / "1").iterdir()).read_bytes()
    (tmp_path / "photos" / "x.png").write_bytes(picture[:60])
    command = [
        "attack",
        "fgsm",
        "--eps",
        0.1,
        tmp_path / "photos",
        "-o",
        tmp_path / "out",
        "--json",
        *network,
    ]
    assert [simdnn(*command)[0], simdnn(*command)[0]] == [1, 1]
    (tmp_path / "photos" / "x.png").write_bytes(picture)
    code, out_text, _ = simdnn(*command)
    assert (code, "error" in json.loads(out_text)) == (0, False)


def test_the_help_names_every_attack(simdnn: Simdnn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    out_text = simdnn("attack", "--help")[1]
    assert set(ATTACKS) <= set(re.findall(r"[\w-]+", out_text))


def test_what_evades_a_guard_is_what_check_calls_clean(simdnn: Simdnn, digits: Path, tmp_path: Path) -> None:
    guard, photos, evaded = digits / "guard.simdnn", digits / "test" / "3", {}
    for name in ("pgd", "selective"):
        out = tmp_path / name
        code, out_text, _ = simdnn(
            "attack", name, "--eps", 0.3, photos, "-o", out, "--limit", 15, "--detector", guard
        )
        record = json.loads((out / "attack.json").read_text(encoding="utf-8"))
        assert (code, "are misclassified and not flagged" in out_text) == (0, True)
        rows = lines(simdnn("check", guard, out, "--json")[1])
        verdicts = {Path(row["path"]).name: row["verdict"] for row in rows}
        for entry in record["images"]:
            clean = verdicts[Path(entry["attacked"]).name] == "clean"
            assert entry["evaded_8bit"] == (entry["misclassified_8bit"] and clean)
            assert entry["linf"] <= 0.3 + 1e-6
        evaded[name] = record["evaded"]["value"]
    assert evaded["selective"] > 0.8 > 0.5 > evaded["pgd"]


def test_what_does_not_fit_an_attack_on_a_guard_is_refused(
    simdnn: Simdnn, digits: Path, tmp_path: Path
) -> None:
    guard, photos, out = ["--detector", digits / "guard.simdnn"], digits / "test" / "3", tmp_path / "out"
    wrong: list[tuple[str, list[object]]] = [
        ("--detector", ["selective", "--eps", 0.1]),
        ("needs eps", ["selective", *guard]),
        ("has no parameter momentum", ["joint-1", "--eps", 0.1, "--param", "momentum=1", *guard]),
        ("the norm inf or 2", ["orthogonal", "--eps", 0.1, "--param", "norm=1", *guard]),
        ("no profile", ["orthogonal", "--eps", 0.1, "--rule", "profile", *guard]),
        ("--backbone does not go with --detector", ["fgsm", "--eps", 0.1, "--backbone", "vgg16", *guard]),
        ("the guard's file has the network", ["fgsm", "--eps", 0.1, "--backbone", "vgg16", *guard]),
        ("--mean does not go with --detector", ["fgsm", "--eps", 0.1, "--mean", "0,0,0", *guard]),
        ("--std does not go with --detector", ["fgsm", "--eps", 0.1, "--std", "1,1,1", *guard]),
        ("--size does not go with --detector", ["fgsm", "--eps", 0.1, "--size", 32, *guard]),
        ("--resize does not go with --detector", ["fgsm", "--eps", 0.1, "--resize", 32, *guard]),
        ("expected an available device", ["fgsm", "--eps", 0.1, "--device", "gpu", *guard]),
        ("expected weights once for each", ["fgsm", "--eps", 0.1, *["--weights", "w.pth"] * 2, *guard]),
    ]
    for message, options in wrong:
        code, _, err = simdnn("attack", *options, photos, "-o", out)
        assert (code, message in err, out.exists()) == (2, True, False), err


def test_weights_of_a_guard_that_have_moved_are_named(simdnn: Simdnn, digits: Path, tmp_path: Path) -> None:
    guard = tmp_path / "guard.simdnn"
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes((digits / "weights.safetensors").read_bytes())
    backbone = load_backbone(NAME, moved, size=SIDE, mean=IN_UNITS.mean, std=IN_UNITS.std)
    Guard.fit(digits / "train", Extractor([backbone], device="cpu"), rule="similarity").save(guard)
    (tmp_path / "elsewhere").mkdir()
    moved.rename(tmp_path / "elsewhere" / "here.safetensors")
    command = ["attack", "fgsm", "--eps", 0.1, "--detector", guard, digits / "test" / "1", "--limit", 1]
    code, _, err = simdnn(*command, "-o", tmp_path / "out")
    assert (code, "say where they are now: --weights FILE" in err) == (2, True)
    here = ["--weights", tmp_path / "elsewhere" / "here.safetensors", "--device", "cpu"]
    assert simdnn(*command, "-o", tmp_path / "out", *here)[0] == 0


def test_code_that_a_guard_names_runs_only_if_trusted(
    simdnn: Simdnn, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_network.py").write_text(
        "from simdnn.networks.digits import digits_network\n\n\ndef make():\n    return digits_network()\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    weights, guard = digits / "weights.safetensors", tmp_path / "guard.simdnn"
    backbone = load_backbone("my_network:make", weights, size=SIDE, mean=IN_UNITS.mean, std=IN_UNITS.std)
    Guard.fit(digits / "train", Extractor([backbone], device="cpu"), rule="similarity").save(guard)
    command = ["attack", "fgsm", "--eps", 0.1, "--detector", guard, digits / "test" / "1", "--limit", 1]
    code, _, err = simdnn(*command, "-o", tmp_path / "out")
    assert (code, "--trust my_network:make" in err) == (2, True)
    assert simdnn(*command, "-o", tmp_path / "out", "--trust", "my_network:make")[0] == 0


@pytest.mark.parametrize("kind", ["below a file", "pipe"])
def test_a_folder_that_cannot_be_written_is_an_error_before_the_work(
    simdnn: Simdnn, digits: Path, network: list[object], tmp_path: Path, kind: str
) -> None:
    if kind == "pipe":
        output = tmp_path / "pipe"
        os.mkfifo(output)
        message = f"expected an empty or new folder, got {output}; choose another with -o"
    else:
        (tmp_path / "file").write_text("kept", encoding="utf-8")
        output = tmp_path / "file" / "out"
        message = (
            f"cannot write attacked images into {output}: Not a directory; choose another folder with -o"
        )
    code, _, err = simdnn("attack", "fgsm", "--eps", 0.1, digits / "test" / "1", "-o", output, *network)
    assert (code, message in err) == (2, True)


def test_a_full_disk_is_an_error_of_one_line(
    simdnn: Simdnn, digits: Path, network: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("PIL.Image.Image.save", full)
    code, _, err = simdnn(
        "attack", "fgsm", "--eps", 0.1, digits / "test" / "1", "-o", tmp_path / "o", *network
    )
    assert (code, err.count("\n")) == (74, 1)
    assert "No space left on device; choose another folder with -o" in err


def test_a_run_that_attacked_nothing_does_not_keep_its_folder(
    simdnn: Simdnn, digits: Path, network: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise InputError("broken")

    command = [digits / "test" / "1", "--limit", 1, "-o", tmp_path / "out", *network]
    with monkeypatch.context() as patch:
        patch.setattr("simdnn.attacks.fgsm.FGSM.perturb", broken)
        assert simdnn("attack", "fgsm", "--eps", 0.1, *command)[0] == 2
    assert simdnn("attack", "pgd", "--eps", 0.1, *command)[0] == 0


def test_a_guards_network_is_put_on_the_device(simdnn: Simdnn, digits: Path, tmp_path: Path) -> None:
    """The meta device has no values, so that the run breaks where predictions come back from it."""
    command = ["attack", "fgsm", "--eps", 0.1, "--detector", digits / "guard.simdnn", digits / "test" / "1"]
    code, _, err = simdnn(*command, "-o", tmp_path / "out", "--device", "meta")
    assert code == 70
    assert "meta tensor" in err
