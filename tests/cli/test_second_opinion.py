"""The commands with a second opinion: fit, check --certify, info and bench certify."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from tests.cli.output import lines
from tests.conftest import Simdnn
from tests.training.small import write_stripes

from simdnn.networks.auxiliary import AuxiliaryNetwork, AuxiliarySpec, untrained, write_auxiliary


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """Stripes, weights of a protected network, and an auxiliary network that has learned two of the images."""
    folder = tmp_path_factory.mktemp("opinion")
    write_stripes(folder / "train", per_class=30)
    (folder / "weights.safetensors").write_bytes((digits / "weights.safetensors").read_bytes())
    learned = tuple(
        sorted(sha256((folder / f"train/lying/{i:03}.png").read_bytes()).hexdigest() for i in range(2))
    )
    spec = AuxiliarySpec(
        "shufflenet_v2_x0_5", 16, 0.25, ("lying", "standing"), (0.5,) * 3, (0.5,) * 3, learned=learned
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = AuxiliaryNetwork(untrained("shufflenet_v2_x0_5", 2), spec).eval()
        typical = network(0.5 + 0.25 * torch.randn(50, 3, 16, 16)).mean(dim=0)
        network.network.get_parameter("fc.bias").sub_(typical)  # so that the votes are not all for one class
    write_auxiliary(folder / "second.safetensors", network)
    return folder


@pytest.fixture
def guard(place: Path, simdnn: Simdnn) -> Path:
    file = place / "guard.simdnn"
    if not file.exists():
        code, out, err = simdnn(
            *("fit", place / "train", "-o", file, "--backbone", "simdnn.networks.digits:digits_network"),
            *("--weights", place / "weights.safetensors", "--size", 32, "--alpha", 0.3, "--no-cache"),
            *("--second-opinion", place / "second.safetensors", "--draws", 4),
        )
        assert code == 0
        assert err.startswith("warning: the network's outputs and the class folders have different names")
        assert "2 images that the auxiliary network learned were kept out of calibration" in out
    return file


def test_check_gives_opinion_and_radius(place: Path, guard: Path, simdnn: Simdnn) -> None:
    code, out, _ = simdnn("check", guard, place / "train/lying", "--json")
    assert code == 0
    plain = lines(out)
    assert len(plain) == 30
    assert {found["rule"] for found in plain} == {"profile+opinion"}
    assert all(found["opinion"] in (0, 0.25, 0.5, 0.75, 1) for found in plain)
    assert {found["certified_radius"] for found in plain} == {None}
    code, out, _ = simdnn("check", guard, place / "train/lying", "--certify", "--draws", 20, "--json")
    certified = lines(out)
    for found, before in zip(certified, plain, strict=True):
        assert (found.pop("certified_radius") is None) == (found["verdict"] == "attack")
        del before["certified_radius"]
        assert found == before


def test_check_says_what_is_certified_in_words(place: Path, guard: Path, simdnn: Simdnn) -> None:
    _, out, _ = simdnn("check", guard, place / "train", "--certify", "--draws", 20)
    certified = [line for line in out.splitlines() if "no change smaller than" in line]
    for line in certified:
        share, _, words = line.partition("% of the draws say ")
        label = words.split(";")[0]
        assert share.split()[-1].isdigit()
        assert words.endswith(f"(L2) can be why both networks say {label}")
    nothing = [line for line in out.splitlines() if line.endswith("; nothing is certified")]
    assert len(certified) + len(nothing) == int(out.splitlines()[-1].split()[0])


def test_fresh_draws_are_no_replay(place: Path, guard: Path, simdnn: Simdnn) -> None:
    def opinions(*options: str) -> list[float]:
        _, out, _ = simdnn("check", guard, place / "train", "--json", *options)
        return [line["opinion"] for line in lines(out)]

    assert opinions() == opinions()
    assert opinions("--fresh") != opinions("--fresh")


def test_info_names_the_second_opinion(guard: Path, simdnn: Simdnn) -> None:
    _, out, _ = simdnn("info", guard)
    assert "second.safetensors, 4 draws of each image" in out
    _, out, _ = simdnn("info", guard, "--json")
    facts = json.loads(out)
    assert facts["auxiliary"]["draws"] == 4
    assert "secret" not in json.dumps(facts)


def test_the_benchmark_goes_on_and_writes_its_report(
    place: Path, guard: Path, simdnn: Simdnn, tmp_path: Path
) -> None:
    write_stripes(tmp_path / "val", per_class=4)
    report = tmp_path / "report"
    code, out, _ = simdnn("bench", "certify", guard, tmp_path / "val", "-o", report, "--draws", 20)
    assert code == 0
    assert "| false alarms promised | flagged, of 8 clean |" in out
    before = (report / "votes.jsonl").read_text()
    assert simdnn("bench", "certify", guard, tmp_path / "val", "-o", report, "--draws", 20)[0] == 0
    assert (report / "votes.jsonl").read_text() == before
    record = json.loads((report / "certified.json").read_text())
    assert (record["images"], record["certificate_draws"], record["data"]) == (8, 20, "val")
    assert "versions" in record["provenance"]


def test_options_that_need_each_other(place: Path, digits: Path, simdnn: Simdnn, tmp_path: Path) -> None:
    code, _, err = simdnn("fit", place / "train", "-o", tmp_path / "g.simdnn", "--draws", 4, "--no-cache",
                          "--backbone", "simdnn.networks.digits:digits_network", "--size", 32)  # fmt: skip
    assert (code, err) == (2, "error: --draws needs --second-opinion, the network that they belong to\n")
    code, _, err = simdnn("check", digits / "guard.simdnn", digits / "test/0", "--certify")
    assert code == 2
    assert "the rule 'similarity' has no second opinion to certify with" in err
