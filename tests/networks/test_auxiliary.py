from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from simdnn.errors import InputError, WeightsError
from simdnn.networks.auxiliary import (
    KEY,
    AuxiliaryNetwork,
    AuxiliarySpec,
    read_auxiliary,
    untrained,
    write_auxiliary,
)
from simdnn.networks.auxiliary_record import AuxiliaryRecord
from simdnn.networks.draws import Draws
from simdnn.networks.record import NetworkSource
from simdnn.networks.weights import read_weights

SPEC = AuxiliarySpec(
    architecture="shufflenet_v2_x0_5",
    side=32,
    sigma=0.25,
    classes=("cat", "dog"),
    mean=(0.5, 0.4, 0.3),
    std=(0.2, 0.3, 0.4),
    learned=("0" * 64, "a" * 64),
    training={"epochs": 3},
)


def auxiliary() -> AuxiliaryNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AuxiliaryNetwork(untrained("shufflenet_v2_x0_5", 2), SPEC).eval()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_auxiliary(tmp_path / "second.safetensors", auxiliary())
    return tmp_path / "second.safetensors"


def with_header(file: Path, **changes: Any) -> None:
    with safe_open(file, framework="pt") as opened:
        plain = json.loads(opened.metadata()[KEY])
    save_file(load_file(file), file, {KEY: json.dumps(plain | changes)})


def test_a_file_gives_the_network_back(file: Path) -> None:
    found = read_auxiliary(file)
    assert found.spec == SPEC
    assert found.spec.kind == "smoothed"
    assert not found.training
    assert not any(parameter.requires_grad for parameter in found.parameters())
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(found(images), auxiliary()(images))


def test_the_network_normalises_what_it_is_given() -> None:
    network = auxiliary()
    images = torch.rand(2, 3, 32, 32)
    normal = torch.stack([(images[:, i] - SPEC.mean[i]) / SPEC.std[i] for i in range(3)], dim=1)
    assert torch.allclose(network(images), network.network(normal), atol=1e-5)


def test_the_file_is_also_a_state_dict_with_torchvisions_names(file: Path) -> None:
    assert set(read_weights(file)) == set(untrained("shufflenet_v2_x0_5", 2).state_dict())


def test_reading_leaves_random_numbers_alone(file: Path) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    read_auxiliary(file)
    assert torch.equal(torch.rand(3), expected)


def test_a_network_without_noise_is_deterministic() -> None:
    assert replace(SPEC, sigma=0.0).kind == "deterministic"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "resnet17"}, "architecture must be the name of a torchvision"),
        ({"side": 0}, "side must be a whole number of pixels above 0; got 0"),
        ({"sigma": -0.1}, "sigma must be a number of at least 0; got -0.1"),
        ({"sigma": float("nan")}, "sigma must be a number of at least 0"),
        ({"classes": ("cat", "cat")}, "classes must be two or more different names"),
        ({"classes": ("cat",)}, "classes must be two or more different names"),
        ({"std": (1.0, 0.0, 1.0)}, "std must be three numbers above 0"),
        ({"mean": (1.0, 0.0)}, "mean must be three finite numbers"),
        ({"learned": ("abc",)}, "learned must be SHA-256 hashes"),
        ({"reduction": "nearest"}, "reduction must be 'mean or bilinear'; got 'nearest'"),
        (
            {"network_side": 32},
            r"network_side \(--network-size\) must be a whole number of pixels above the side \(--size\), 32, "
            "or nothing; got 32",
        ),
    ],
)
def test_values_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(SPEC, **change)


def test_the_network_gets_the_noisy_image_enlarged(tmp_path: Path) -> None:
    plain = auxiliary()
    enlarging = AuxiliaryNetwork(plain.network, replace(SPEC, network_side=64))
    assert enlarging.identity != plain.identity
    write_auxiliary(tmp_path / "enlarging.safetensors", enlarging)
    assert read_auxiliary(tmp_path / "enlarging.safetensors").spec.network_side == 64
    images = torch.rand(2, 3, 32, 32)
    large = torch.nn.functional.interpolate(images, scale_factor=2, mode="bilinear")
    shown = AuxiliaryNetwork(torch.nn.Identity(), replace(SPEC, network_side=64))(images)
    assert torch.allclose(shown, AuxiliaryNetwork(torch.nn.Identity(), SPEC)(large), atol=1e-5)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="which is no file; check the path"):
        read_auxiliary(tmp_path / "none.safetensors")


def test_bare_weights_are_refused_with_what_to_do(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "bare.safetensors")
    with pytest.raises(
        WeightsError, match=r"holds weights, but not the classes.*import it: simdnn import-auxiliary .*bare"
    ):
        read_auxiliary(tmp_path / "bare.safetensors")


def test_a_damaged_file_is_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="is damaged, or no safetensors file"):
        read_auxiliary(file)


def test_a_newer_file_is_refused(file: Path) -> None:
    with_header(file, protocol=2)
    with pytest.raises(WeightsError, match="written with protocol 2, this version reads 1; update simdnn"):
        read_auxiliary(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "deterministic"}, "expected kind 'smoothed' with sigma 0.25, got 'deterministic'"),
        ({"mean": 3}, "got one that this version cannot read"),
        ({"surprise": 1}, "expected the values"),
        ({"classes": "ab"}, "classes must be"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(file: Path, change: dict[str, Any], message: str) -> None:
    with_header(file, **change)
    with pytest.raises(WeightsError, match=message):
        read_auxiliary(file)


def test_tensors_that_do_not_fit_are_refused(file: Path) -> None:
    with_header(file, classes=["cat", "cow", "dog"])
    with pytest.raises(WeightsError, match="got a file that does not fit"):
        read_auxiliary(file)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot write the auxiliary network"):
        write_auxiliary(tmp_path / "none" / "second.safetensors", auxiliary())


def test_it_is_found_beside_the_guard_if_it_is_no_longer_where_it_was(file: Path, tmp_path: Path) -> None:
    record = AuxiliaryRecord.of(read_auxiliary(file), Draws(bytes(32), 4))
    gone = replace(record, file="/no/such/folder/second.safetensors")
    assert gone.restore(NetworkSource(folder=tmp_path)).identity == record.identity
    with pytest.raises(
        WeightsError, match=r"expected in /no/such/folder/second\.safetensors, which is no file"
    ):
        gone.restore(NetworkSource(folder=tmp_path / "other"))
