from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from simdnn.networks.auxiliary import untrained
from simdnn.networks.weights import fit_weights, read_weights
from simdnn.training import cifar10


def write_archive(folder: Path) -> None:
    """Write two classes, one dark and one bright, as the archive has them."""
    with tarfile.open(folder / "cifar10_jpeg.tar.xz", "w:xz") as tar:
        for part, n in (("train", 6), ("test", 2)):
            for label, grey in (("airplane", 40), ("cat", 200)):
                for number in range(n):
                    content = io.BytesIO()
                    Image.fromarray(np.full((32, 32, 3), grey + number, np.uint8)).save(content, "JPEG")
                    entry = tarfile.TarInfo(f"{part}/{label}/{number:04}.jpg")
                    entry.size = len(content.getvalue())
                    tar.addfile(entry, io.BytesIO(content.getvalue()))


def test_the_archive_is_read_by_part_and_class(tmp_path: Path) -> None:
    write_archive(tmp_path)
    parts = cifar10.read_archive(tmp_path / "cifar10_jpeg.tar.xz")
    pictures, labels = parts["train"]
    assert labels.tolist() == [0] * 6 + [1] * 6
    assert pictures[:, 0, 16, 16].tolist() == pytest.approx([*range(40, 46), *range(200, 206)], abs=2)
    assert len(parts["test"][1]) == 4


def test_the_program_writes_weights_and_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_archive(tmp_path)
    out = tmp_path / "out"
    asked = (
        f"--data {tmp_path} --network shufflenet_v2_x0_5 --side 32 --epochs 2 --batch-size 4 --output {out}"
    )
    monkeypatch.setattr(sys, "argv", ["cifar10", *asked.split()])
    cifar10.main()
    weights = out / "shufflenet_v2_x0_5.safetensors"
    record = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
    assert (record["n"], record["epochs"], record["side"]) == (4, 2, 32)
    network = untrained("shufflenet_v2_x0_5", 10)
    fit_weights(network, read_weights(weights), "the weights")
    pictures, labels = cifar10.read_archive(tmp_path / "cifar10_jpeg.tar.xz")["test"]
    right = cifar10.correct(network.eval(), pictures, labels, side=32)
    assert record["accuracy"]["value"] == right / len(labels)
    assert sorted(path.name for path in out.iterdir()) == [weights.with_suffix(".json").name, weights.name]
    assert "epoch 2: loss " in capsys.readouterr().out


def test_a_shift_moves_all_pictures_alike_by_at_most_four_pixels() -> None:
    pictures = torch.zeros(50, 3, 32, 32, dtype=torch.uint8)
    pictures[:, :, 16, 16] = 255
    torch.manual_seed(0)
    found = cifar10.shifted(pictures)
    places = {tuple(place) for place in found[:, 0].nonzero()[:, 1:].tolist()}
    assert len(places) == 2  # as they are, and mirrored
    assert all(abs(row - 16) <= 4 and abs(column - 15.5) <= 4.5 for row, column in places)
