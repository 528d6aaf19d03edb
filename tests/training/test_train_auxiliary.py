from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.conftest import BACKBONE, Command
from tests.training.small import write_stripes

from simdnn.cli.train_auxiliary import train_auxiliary as train_command
from simdnn.errors import InputError, WeightsError
from simdnn.networks.auxiliary import read_auxiliary
from simdnn.paper.holdout import calibration_mask
from simdnn.training.auxiliary import EpochReport, train_auxiliary
from simdnn.training.loop import Settings
from simdnn.training.plan import Plan

SETTINGS = Settings(epochs=3, batch_size=8, rate=0.02)


def plan(start: Path, settings: Settings = SETTINGS, loss: str = "noise") -> Plan:
    return Plan(settings, backbone=BACKBONE, start_weights=start, side=32, sigma=0.1, loss=loss)


class StoppedError(Exception):
    pass


def test_a_stopped_training_goes_on_and_writes_the_same_file(
    stripes: Path, start: Path, tmp_path: Path
) -> None:
    whole, resumed = tmp_path / "whole.safetensors", tmp_path / "resumed.safetensors"
    train_auxiliary(stripes, whole, plan(start, loss="consistency"), device="cpu")

    def stop(report: EpochReport) -> None:
        if report.epoch == 1:
            raise StoppedError

    with pytest.raises(StoppedError):
        train_auxiliary(stripes, resumed, plan(start, loss="consistency"), device="cpu", on_epoch=stop)
    assert not resumed.exists()
    reports: list[EpochReport] = []
    train_auxiliary(stripes, resumed, plan(start, loss="consistency"), device="cpu", on_epoch=reports.append)
    assert [report.epoch for report in reports] == [2, 3]
    states = [read_auxiliary(path).state_dict() for path in (whole, resumed)]
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["resumed.safetensors", "whole.safetensors"]


def test_another_plan_does_not_go_on_from_a_checkpoint(stripes: Path, start: Path, tmp_path: Path) -> None:
    def stop(report: EpochReport) -> None:
        raise StoppedError

    output = tmp_path / "second.safetensors"
    with pytest.raises(StoppedError):
        train_auxiliary(stripes, output, plan(start), device="cpu", on_epoch=stop)
    with pytest.raises(InputError, match=r"its loss is 'noise', not 'consistency'; give the same settings"):
        train_auxiliary(stripes, output, plan(start, loss="consistency"), device="cpu")


def test_distillation_trains_as_the_others_do(stripes: Path, start: Path, tmp_path: Path) -> None:
    output = tmp_path / "second.safetensors"
    found = train_auxiliary(stripes, output, plan(start, loss="distillation"), device="cpu")
    assert found.accuracy.value >= 0.5
    made = read_auxiliary(output)
    assert made.spec.training["loss_options"] == {"weight": 1.0}
    assert made(torch.rand(1, 3, 32, 32)).shape == (1, 2)


def test_the_file_knows_what_was_learned_and_how(
    stripes: Path, start: Path, tmp_path: Path, command: Command
) -> None:
    output = tmp_path / "second.safetensors"
    told = command(
        train_command,
        *(
            stripes,
            "-o",
            output,
            "--backbone",
            BACKBONE,
            "--start-weights",
            start,
            "--size",
            32,
            "--epochs",
            2,
            "--json",
        ),
        *("--batch-size", 8, "--device", "cpu", "--sigma", 0.2, "--seed", 5, "--network-size", 48),
    )
    *epochs, last = [json.loads(line) for line in told.splitlines()]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2]
    assert (last["learned"], last["held_out"], last["output"]) == (16, 4, str(output))
    spec = read_auxiliary(output).spec
    assert (spec.architecture, spec.side, spec.network_side, spec.sigma) == (BACKBONE, 32, 48, 0.2)
    assert spec.classes == ("lying", "standing")
    paths = np.array(sorted(stripes.rglob("*.png")))
    held = calibration_mask(np.array(["lying"] * 10 + ["standing"] * 10), 0.2, 5)
    assert spec.learned == tuple(sorted(sha256(path.read_bytes()).hexdigest() for path in paths[~held]))
    assert spec.training["loss"] == "noise"
    assert spec.training["settings"]["epochs"] == 2
    assert spec.training["vote_accuracy"] == last["accuracy"]


def test_the_command_tells_people_what_it_does(
    stripes: Path, start: Path, tmp_path: Path, command: Command
) -> None:
    output = tmp_path / "second.safetensors"
    told = command(
        train_command,
        *(stripes, "-o", output, "--backbone", BACKBONE, "--start-weights", start, "--size", 32),
        *("--epochs", 1, "--batch-size", 8, "--device", "cpu"),
    )
    first, second, third = told.splitlines()
    assert first.startswith("epoch 1 of 1: loss ")
    assert second.startswith("learned 16 images; the majority vote is right on ")
    assert second.endswith(" of 4 images held out")
    assert third == f"wrote {output}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("--loss", "madry"),
            "expected a loss among noise, distillation, consistency, smoothadv, got 'madry'",
        ),
        (("--sigma", 0), "expected a sigma above 0, for pixels in .*; got 0.0"),
        (("--size", 64, "--network-size", 64), r"--network-size\) must be .* above the side \(--size\), 64"),
        (("--size", 8), "expected images of at least 16 pixels a side, got 8"),
        (("--held-out", 0.6), r"expected a share of \(0, 0.5\] to hold out, got 0.6"),
        (("--epochs", 0), "expected at least 1 epoch"),
        (("--backbone", "resnet17"), "expected the name of a torchvision classification network"),
        (("--device", "nowhere"), "expected an available device"),
        (("--mean", "1,2"), "--mean takes three numbers"),
    ],
)
def test_what_cannot_work_is_refused_before_any_work(
    stripes: Path, start: Path, tmp_path: Path, command: Command, change: tuple[object, ...], message: str
) -> None:
    output = tmp_path / "second.safetensors"
    with pytest.raises(InputError, match=message):
        command(
            train_command, stripes, "-o", output, "--backbone", BACKBONE, "--start-weights", start, *change
        )
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_cannot_be_written_are_refused(stripes: Path, tmp_path: Path, command: Command) -> None:
    with pytest.raises(InputError, match=r"there is no folder .*none to write second into"):
        command(train_command, stripes, "-o", tmp_path / "none" / "second")
    with pytest.raises(InputError, match="expected a file to write the auxiliary network to, got the folder"):
        command(train_command, stripes, "-o", tmp_path)


def test_a_backbone_without_a_linear_layer_is_refused(stripes: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from simdnn.networks.auxiliary import untrained

    save_file(untrained("squeezenet1_1", 5).state_dict(), tmp_path / "weights.safetensors")
    asked = Plan(SETTINGS, backbone="squeezenet1_1", start_weights=tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match="whose last layer is linear, got SqueezeNet, which ends in Conv2d"):
        train_auxiliary(stripes, tmp_path / "second", asked)


def test_weights_of_another_network_are_refused(stripes: Path, start: Path, tmp_path: Path) -> None:
    asked = Plan(SETTINGS, backbone="resnet18", start_weights=start)
    with pytest.raises(WeightsError, match="got a file that does not fit"):
        train_auxiliary(stripes, tmp_path / "second", asked)


def test_unreadable_files_are_named(tmp_path: Path, start: Path, command: Command) -> None:
    folder = write_stripes(tmp_path / "train", per_class=12)
    (folder / "lying" / "005.png").write_bytes(b"no image")
    told = command(
        train_command,
        *(
            folder,
            "-o",
            tmp_path / "second",
            "--backbone",
            BACKBONE,
            "--start-weights",
            start,
            "--size",
            32,
            "--epochs",
            1,
        ),
        *("--json", "--device", "cpu"),
    )
    (line,) = json.loads(told.splitlines()[-1])["unreadable"]
    assert "005.png: expected an image" in line
