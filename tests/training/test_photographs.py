from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from simdnn.evaluation.intervals import rate
from simdnn.networks.auxiliary import untrained
from simdnn.networks.backbone import Backbone, load_backbone
from simdnn.networks.weights import fit_weights, read_weights
from simdnn.training import bart, photographs
from simdnn.training.augment import random_crops


def write_images(folder: Path, n: int, side: int) -> None:
    """Write two classes, one dark and one bright."""
    for label, grey in (("dark", 40), ("light", 200)):
        (folder / label).mkdir(parents=True)
        for number in range(n):
            Image.fromarray(np.full((side, side, 3), grey + number, np.uint8)).save(
                folder / label / f"{number}.png"
            )


@pytest.fixture
def teacher(tmp_path: Path) -> Backbone:
    torch.manual_seed(0)
    return load_backbone("small", network=untrained("shufflenet_v2_x0_5", 7).eval(), size=160)


def test_the_loss_is_least_for_right_answers_that_agree_with_the_teacher(teacher: Backbone) -> None:
    images, labels = torch.rand(2, 3, 160, 160), torch.tensor([0, 1])
    wanted = teacher(images).logits

    def loss(logits: list[list[float]], found: torch.Tensor) -> float:
        answers = (torch.tensor(logits), found)

        class Answers(torch.nn.Module):
            def forward(self, _: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                return answers

        return float(photographs.taught_loss(Answers(), teacher, images, labels))

    right, wrong = [[3.0, 0.0], [0.0, 3.0]], [[0.0, 3.0], [3.0, 0.0]]
    assert loss(wrong, wanted) - loss(right, wanted) == pytest.approx(
        3 * (1 - photographs.SMOOTHING), abs=1e-4
    )
    assert loss(right, wanted + 1) == pytest.approx(loss(right, wanted), abs=1e-5)
    assert loss(right, wanted.flip(1) * 50) > loss(right, wanted) + 0.1


def test_the_program_writes_weights_and_a_record(
    tmp_path: Path,
    teacher: Backbone,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    write_images(data / "imagenette160", 6, 160)
    write_images(data / "imagenette224" / "val", 2, 224)
    monkeypatch.setattr(photographs, "load_backbone", lambda *_, **__: teacher)
    asked = f"--data {data} --network shufflenet_v2_x0_5 --side 32 --epochs 2 --batch-size 4 --output {out}"
    sides: list[int] = []

    def crops(images: torch.Tensor, side: int) -> torch.Tensor:
        sides.append(side)
        return random_crops(images, side)

    monkeypatch.setattr(photographs, "random_crops", crops)
    monkeypatch.setattr(sys, "argv", ["photographs", *f"{asked} --small-epochs 1 --small-side 16".split()])
    photographs.main()
    assert sides == [16] * 3 + [32] * 9  # three batches an epoch, and three for the batch norms
    assert not list(out.glob("*.checkpoint"))
    weights = out / "shufflenet_v2_x0_5.safetensors"
    record = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
    assert (record["n"], record["epochs"], record["side"], record["pictures"]) == (4, 2, 32, 12)
    assert (record["small_epochs"], record["small_side"]) == (1, 16)
    network = untrained("shufflenet_v2_x0_5", 2)
    fit_weights(network, read_weights(weights), "the weights")
    test, labels = photographs.read_labelled(data / "imagenette224" / "val", 32, ("dark", "light"))
    right = photographs.correct(photographs.Normalised(network.eval()), test, labels)
    assert record["accuracy"] == rate(right, 4)._asdict()
    assert "epoch 2: loss " in capsys.readouterr().out
    train_on_transforms(data, out, tmp_path / "bart", monkeypatch)


def train_on_transforms(data: Path, known: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train the network on, on BaRT's transforms."""
    name = "shufflenet_v2_x0_5"
    asked = (
        f"--data {data} --network {name} --side 32 --epochs 1 --batch-size 4 --weights {known} --output {out}"
    )
    monkeypatch.setattr(sys, "argv", ["bart", *asked.split()])
    bart.main()
    before, after = (read_weights(folder / f"{name}.safetensors") for folder in (known, out))
    assert any(not torch.equal(before[key], after[key]) for key in before)
    record = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
    assert record["n"] == 4
    assert record["pictures"] == 12
    assert 0 <= record["accuracy_behind_bart"]["value"] <= 1
