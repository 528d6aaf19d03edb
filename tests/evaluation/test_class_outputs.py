"""Networks of a plan whose outputs are cut to the dataset's classes, and second opinions on them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.conftest import Simdnn
from tests.training.small import write_stripes

from simdnn.errors import InputError
from simdnn.evaluation.class_outputs import class_outputs
from simdnn.evaluation.records import Records
from simdnn.networks.auxiliary import (
    AuxiliaryNetwork,
    AuxiliarySpec,
    read_auxiliary,
    untrained,
    write_auxiliary,
)
from simdnn.networks.loading import torchvision_network

NAME = "shufflenet_v2_x0_5"
PLAN = """
title = "Two classes of a network with seven outputs"
methods = ["none", "sim-dnn profile+opinion"]
attacks = [{ attack = "fgsm", eps = 0.1 }]

[datasets.stripes]
fit = "fit"
test = "test"
outputs = { lying = 5, standing = 2 }

[networks.Shuffle]
dataset = "stripes"
backbone = "shufflenet_v2_x0_5"
weights = "seven.safetensors"
size = 32
resize = 32
classes_only = true
auxiliary = "second.safetensors"
"""


@pytest.fixture
def seven(tmp_path: Path) -> Path:
    """Weights with seven outputs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(untrained(NAME, 7).state_dict(), tmp_path / "seven.safetensors")
    return tmp_path / "seven.safetensors"


def test_the_outputs_kept_are_the_classes_in_their_order(seven: Path, tmp_path: Path) -> None:
    images = torch.rand(2, 3, 32, 32)
    whole = torchvision_network(NAME, seven).eval()(images)
    cut = class_outputs(NAME, seven, [5, 2], tmp_path / "cut")
    assert torch.allclose(torchvision_network(NAME, cut).eval()(images), whole[:, [5, 2]], atol=1e-6)
    assert class_outputs(NAME, cut, [5, 2], tmp_path / "cut") == cut
    assert class_outputs(NAME, cut, [0, 1], tmp_path / "cut") == cut
    turned = class_outputs(NAME, cut, [1, 0], tmp_path / "cut")
    assert torch.allclose(torchvision_network(NAME, turned).eval()(images), whole[:, [2, 5]], atol=1e-6)
    save_file(
        {f"module.{name}": tensor for name, tensor in load_file(seven).items()},
        tmp_path / "parallel.safetensors",
    )
    assert class_outputs(NAME, tmp_path / "parallel.safetensors", [5, 2], tmp_path / "cut") == cut
    with pytest.raises(
        InputError, match="expected a network of torchvision to keep some of its outputs, got 'a:b'"
    ):
        class_outputs("a:b", seven, [5, 2], tmp_path / "cut")
    with pytest.raises(InputError, match=r"expected at least 8 outputs in .*seven.safetensors, got 7"):
        class_outputs(NAME, seven, [5, 7], tmp_path / "cut")


def test_a_second_opinion_on_such_a_network_is_measured(seven: Path, tmp_path: Path, simdnn: Simdnn) -> None:
    write_stripes(tmp_path / "fit", per_class=50)
    write_stripes(tmp_path / "test", per_class=3)
    (tmp_path / "plan.toml").write_text(PLAN, encoding="utf-8")
    command = ("bench", "run", tmp_path / "plan.toml", "--cache", tmp_path / "cache")
    records = Records(tmp_path / "records" / "plan.jsonl")

    def measured() -> dict[tuple[str, str], dict[str, object]]:
        assert simdnn(*command)[0] == 0
        return {(r["method"], r["column"]): r for r in Records(records.path)}

    without = measured()["sim-dnn profile+opinion", "clean"]
    assert "which is no file" in str(without["error"])
    spec = AuxiliarySpec(NAME, 16, 0.25, ("lying", "standing"), (0.5,) * 3, (0.5,) * 3)
    write_auxiliary(tmp_path / "second.safetensors", AuxiliaryNetwork(untrained(NAME, 2), spec))
    found = measured()
    clean = found["sim-dnn profile+opinion", "clean"]
    assert "error" not in clean, clean["error"]
    assert clean["n"] == 6
    assert clean["key"] != without["key"]
    assert clean["auxiliary"] == read_auxiliary(tmp_path / "second.safetensors").identity[:16]
    assert "auxiliary" not in found["none", "clean"]
    assert found["none", "clean"]["key"] != clean["key"]
    assert found["sim-dnn profile+opinion", "fgsm-0.1"]["parameters"] == {"attack": "fgsm", "eps": 0.1}
    assert not [record for record in found.values() if "error" in record]

    def state() -> tuple[int, dict[str, tuple[str, str]]]:
        code, out, _ = simdnn("bench", "status", *command[2:], "--json")
        cells = [json.loads(line) for line in out.splitlines()]
        return code, {cell["method"]: (cell["state"], cell["reason"]) for cell in cells}

    assert state() == (0, dict.fromkeys(("none", "sim-dnn profile+opinion"), ("current", "")))
    (tmp_path / "second.safetensors").unlink()
    code, states = state()
    assert code == 0
    assert states["none"] == ("current", "")
    current, why = states["sim-dnn profile+opinion"]
    assert current == "current"
    assert why.startswith("not compared with data and weights: ")
    assert "second.safetensors, which is no file" in why


def test_photographs_are_selected_by_the_whole_network(seven: Path, tmp_path: Path, simdnn: Simdnn) -> None:
    write_stripes(tmp_path / "fit", per_class=2)
    (tmp_path / "plan.toml").write_text(PLAN, encoding="utf-8")
    chosen = tmp_path / "chosen.csv"
    code, out, _ = simdnn(
        "bench",
        "select-nonrobust",
        tmp_path / "fit",
        "-o",
        chosen,
        "--plan",
        tmp_path / "plan.toml",
        "--count",
        3,
    )
    assert code == 0
    assert "wrote 3 of 4 images" in out
