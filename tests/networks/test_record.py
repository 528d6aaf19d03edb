"""A guard gets its networks back, the right ones, and runs no stranger's code."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.guard.networks import NAME, handed_over

from simdnn.digits import IN_UNITS
from simdnn.errors import InputError, WeightsError
from simdnn.guard import file as guard_file
from simdnn.guard.guard import Guard
from simdnn.networks.backbone import load_backbone
from simdnn.networks.digits import SIDE, DigitsNet
from simdnn.networks.extractor import Extractor


@pytest.fixture
def image(digits: Path) -> Path:
    return min((digits / "test" / "5").iterdir())


@pytest.fixture
def moved(digits: Path, tmp_path: Path) -> Path:
    """A guard whose weights are not where they were."""
    header, tensors = guard_file.read(digits / "guard.simdnn")
    header["networks"][0]["spec"]["weights"] = str(tmp_path / "gone.safetensors")
    guard_file.write(tmp_path / "moved.simdnn", header, tensors)
    return tmp_path / "moved.simdnn"


def test_the_weights_are_found_from_any_folder(
    digits: Path, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(digits)
    backbone = load_backbone(NAME, "weights.safetensors", size=SIDE, mean=IN_UNITS.mean, std=IN_UNITS.std)
    guard = Guard.fit("train", Extractor([backbone]), rule="similarity")
    guard.save(tmp_path / "g.simdnn")
    monkeypatch.chdir(tmp_path)
    assert list(Guard.load("g.simdnn").check(image)) == list(guard.check(image))


def test_weights_that_are_missing(moved: Path, image: Path) -> None:
    guard = Guard.load(moved)
    with pytest.raises(
        WeightsError,
        match=rf"needs the weights of {NAME}, expected in .*gone\.safetensors, which is no file; "
        r"say where they are now: --weights FILE, or Guard\.load\(\.\.\., weights=\[FILE\]\)",
    ):
        next(guard.check(image))


def test_all_but_judging_works_without_the_weights(moved: Path, digits: Path, tmp_path: Path) -> None:
    guard = Guard.load(moved)
    assert len(guard.model_id) == 16
    assert guard.threshold() == Guard.load(digits / "guard.simdnn").threshold()
    first = next(iter(guard.model.prototypes))
    assert guard.exemplar(first.exemplar).picture.size == (96, 96)
    guard.model.prototypes.remove(first.id)
    guard.save(tmp_path / "edited.simdnn")
    assert len(Guard.load(tmp_path / "edited.simdnn").model.prototypes) == len(guard.model.prototypes)


def test_weights_that_have_moved_are_given_anew(
    moved: Path, digits: Path, image: Path, tmp_path: Path
) -> None:
    elsewhere = shutil.copy(digits / "weights.safetensors", tmp_path / "elsewhere.safetensors")
    guard = Guard.load(moved, weights=[str(elsewhere)])
    original = Guard.load(digits / "guard.simdnn")
    assert list(guard.check(image)) == list(original.check(image))
    assert guard.model_id == Guard.load(moved).model_id


def test_other_weights_are_refused(moved: Path, digits: Path, image: Path, tmp_path: Path) -> None:
    state = load_file(digits / "weights.safetensors")
    state["head.bias"][0] += 1e-6
    save_file(state, tmp_path / "other.safetensors")
    guard = Guard.load(moved, weights=[str(tmp_path / "other.safetensors")])
    with pytest.raises(
        WeightsError,
        match=r"fitted with other weights of .*: expected SHA-256 [0-9a-f]{16}\.\.\., got [0-9a-f]{16}\.\.\.; "
        "give the same weights, or fit the guard again",
    ):
        next(guard.check(image))


def test_weights_and_networks_are_one_for_each(digits: Path) -> None:
    with pytest.raises(InputError, match="expected weights once for each of the guard's networks, 1 in all"):
        Guard.load(digits / "guard.simdnn", weights=["a", "b"])
    with pytest.raises(
        InputError, match=r"expected networks once for each .*, 1 in all, or none at all; got 2"
    ):
        Guard.load(digits / "guard.simdnn", networks=[None, DigitsNet()])


def test_a_network_handed_over_is_needed_again(digits: Path, image: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = DigitsNet()
    guard = Guard.fit(digits / "train", Extractor([handed_over(network, "my own")]), rule="similarity")
    guard.save(tmp_path / "g.simdnn")
    with pytest.raises(
        InputError,
        match=r"network that was handed over as 'my own' when it was fitted; "
        r"hand it over again: Guard\.load\(\.\.\., networks=\[network\]\)",
    ):
        next(Guard.load(tmp_path / "g.simdnn").check(image))
    again = Guard.load(tmp_path / "g.simdnn", networks=[network])
    assert list(again.check(image)) == list(guard.check(image))
    with pytest.raises(WeightsError, match="fitted with other weights of my own"):
        next(Guard.load(tmp_path / "g.simdnn", networks=[DigitsNet()]).check(image))


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module that leaves a mark when its code runs."""
    mark = tmp_path / "mark"
    (tmp_path / "strangers_code.py").write_text(
        "from pathlib import Path\n"
        "from simdnn.digits import digits_network\n"
        f"Path({str(mark)!r}).write_text('imported')\n"
        "def network():\n    return digits_network()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "strangers_code:network"
    import sys

    sys.modules.pop("strangers_code", None)


def foreign(digits: Path, path: Path, name: str) -> Path:
    """Let a guard name another network."""
    header, tensors = guard_file.read(digits / "guard.simdnn")
    header["networks"][0]["spec"]["name"] = name
    guard_file.write(path, header, tensors)
    return path


def test_a_strangers_code_runs_only_if_trusted(
    digits: Path, image: Path, tmp_path: Path, stranger: str
) -> None:
    path = foreign(digits, tmp_path / "g.simdnn", stranger)
    for trust in ((), ["strangers_code:other"], ["strangers_code"], f"{stranger}s"):
        guard = Guard.load(path, trust=trust)
        with pytest.raises(
            InputError,
            match=r"needs the network 'strangers_code:network', whose code would run; if you trust it, say so: "
            r"--trust strangers_code:network, or Guard\.load",
        ):
            next(guard.check(image))
        assert not (tmp_path / "mark").exists()
    (verdict,) = Guard.load(path, trust=[stranger]).check(image)
    assert (tmp_path / "mark").read_text() == "imported"
    (original,) = Guard.load(digits / "guard.simdnn").check(image)
    assert verdict == original


@pytest.mark.parametrize("name", ["simdnn.cli:main", "simdnn.digits:DigitsNet", "os:getcwd", ":", "a:"])
def test_no_other_function_of_the_package_can_be_called(
    digits: Path, image: Path, tmp_path: Path, name: str
) -> None:
    path = foreign(digits, tmp_path / "g.simdnn", name)
    with pytest.raises(InputError, match="whose code would run"):
        next(Guard.load(path).check(image))
