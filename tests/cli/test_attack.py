"""``simdnn attack`` on the network of digits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from tests.conftest import Simdnn

NETWORK = [
    "--backbone",
    "simdnn.lab.digits:digits_network",
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
    code, said, _ = simdnn(
        "attack", "pgd", "--eps", 0.1, digits / "test" / "3", "-o", out, "--limit", 20, *network
    )
    assert code == 0
    assert "images that the network had right" in said
    record = json.loads((out / "attack.json").read_text(encoding="utf-8"))
    assert record["settings"]["steps"] == 20
    assert record["turned"]["value"] > 0.9
    assert len(record["images"]) == 20
    for entry in record["images"]:
        original = np.asarray(Image.open(entry["path"]).convert("RGB"), dtype=np.float64) / 255
        picture = np.asarray(Image.open(out / entry["attacked"]), dtype=np.float64) / 255
        floats = load_file((out / entry["attacked"]).with_suffix(".safetensors"))["image"].transpose(1, 2, 0)
        assert np.abs(picture - floats).max() <= 0.5 / 255 + 1e-6
        assert np.abs(floats - original).max() == pytest.approx(entry["linf"], abs=1e-6)
        assert entry["linf"] <= 0.1 + 1e-6
        assert np.linalg.norm(floats - original) == pytest.approx(entry["l2"], rel=1e-4)
        assert entry["turned_8bit"] == (entry["label_after"] != entry["label"])


def test_a_stopped_run_goes_on_and_gives_the_same(
    simdnn: Simdnn, digits: Path, network: list[object], tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    asked = ["attack", "pgd", "--eps", 0.1, "--steps", 4, digits / "test" / "5", "--batch-size", 8, *network]
    assert simdnn(*asked, "-o", whole, "--limit", 24)[0] == 0
    assert simdnn(*asked, "-o", parts, "--limit", 8)[0] == 0
    first = (parts / "5").stat().st_mtime_ns, sorted(p.stat().st_mtime_ns for p in (parts / "5").iterdir())
    assert simdnn(*asked, "-o", parts, "--limit", 24)[0] == 0
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
    code, said, err = simdnn(
        "attack", "fgsm", "--eps", 0.1, photos, "-o", tmp_path / "out", "--json", *network
    )
    assert code == 1
    assert "bad.png" in err
    lines = [json.loads(line) for line in said.splitlines()]
    assert {Path(line["path"]).name: "error" in line for line in lines} == {
        "bad.png": True,
        "good.png": False,
    }


def test_labels_may_come_from_the_folders(
    simdnn: Simdnn, digits: Path, network: list[object], tmp_path: Path
) -> None:
    asked = [
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
    code, said, _ = simdnn(*asked, digits / "test" / "7", "--limit", 3)
    assert code == 0
    assert {json.loads(line)["label"] for line in said.splitlines()} == {"7"}
    strange = tmp_path / "seven"
    strange.mkdir()
    (strange / "a.png").write_bytes(next((digits / "test" / "7").iterdir()).read_bytes())
    asked[-2] = tmp_path / "other"
    code, _, err = simdnn(*asked, strange)
    assert code == 2
    assert "the folder seven is named neither as a class of the network" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
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
        (["fgsm", "--eps", 0.1, "--labels", "mine"], "--labels is one of own, folders; got 'mine'"),
    ],
)
def test_what_does_not_fit_is_said_before_the_work(
    simdnn: Simdnn, digits: Path, network: list[object], tmp_path: Path, arguments: list[object], told: str
) -> None:
    code, _, err = simdnn("attack", *arguments, digits / "test" / "1", "-o", tmp_path / "out", *network)
    assert code == 2
    assert told in err
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_else_is_refused(
    simdnn: Simdnn, digits: Path, network: list[object], tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("kept", encoding="utf-8")
    code, _, err = simdnn("attack", "fgsm", "--eps", 0.1, digits / "test" / "1", "-o", tmp_path, *network)
    assert code == 2
    assert "expected an empty or new folder" in err
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "kept"
