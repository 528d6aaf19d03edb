"""Hold an exported guard against the guard: `python experiments/scripts/onnx_equal.py`.

A guard is fitted on imagenette224/train, exported, and asked about photographs of imagenette224/val and about FGSM
attacks on some of them, saved as PNG. The exported one is asked by the command line in another process, where PyTorch,
torchvision, SciPy and scikit-learn cannot be imported. Needs SIMDNN_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from local_networks import NETWORKS, network
from opinion_speed import of_each
from record import timed, write_record
from simdnn.guard.guard import Guard
from simdnn.images.picture import picture_of
from simdnn.images.reading import read_image
from simdnn.networks.backbone import Backbone
from simdnn.networks.extractor import Extractor
from simdnn.onnx.export import export_onnx

ABSENT = ("torch", "torchvision", "scipy", "sklearn")
EPS = 4 / 255
WITHOUT = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from simdnn.cli import main
main()
"""


def linked(images: list[Path], folder: Path) -> Path:
    """Return a folder of links to images, in a subfolder for each class."""
    for path in images:
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        (folder / path.parent.name / path.name).symlink_to(path)
    return folder


def fgsm(backbone: Backbone, paths: list[Path], folder: Path) -> list[Path]:
    """Attack photographs away from the network's own predictions, and save them at the network's size."""
    attacked = []
    for i, path in enumerate(paths):
        image = backbone.spec.preprocess(read_image(path))[None].requires_grad_(True)
        logits = backbone(image).logits
        (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, logits.argmax(1)), image)
        moved = (image.detach() + EPS * gradient.sign()).clamp(0, 1)[0]
        attacked.append(folder / f"{i:05}.png")
        picture_of(moved).save(attacked[-1])
    return attacked


def without_torch(path: Path, images: list[Path]) -> list[dict[str, Any]]:
    """Return the verdicts of `simdnn check` in a process that cannot import PyTorch."""
    command = [sys.executable, "-c", WITHOUT, "check", str(path), "-", "--json"]
    given = "\n".join(map(str, images))
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def compared(guard: Guard, path: Path, images: list[Path]) -> dict[str, Any]:
    """Return how far verdicts and scores are apart."""
    expected, found = list(guard.check(images)), without_torch(path, images)
    verdicts = [(one.verdict, other["verdict"]) for one, other in zip(expected, found, strict=True)]
    scores = np.array([one.score or 0.0 for one in expected])
    apart = np.abs(scores - [one["score"] or 0.0 for one in found])
    return {
        "images": len(verdicts),
        "flagged": sum(one == "attack" for one, _ in verdicts),
        "other_verdicts": sum(one != other for one, other in verdicts),
        "largest_difference_of_scores": float(apart.max()),
        "largest_relative_difference": float((apart / np.maximum(1.0, np.abs(scores))).max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=list(NETWORKS), default="mobilenet_v2")
    parser.add_argument("--learned", type=int, default=100, help="photographs of each class")
    parser.add_argument("--images", type=int, default=25, help="photographs of each class to judge")
    parser.add_argument("--attacked", type=int, default=25, help="of these, to attack")
    parser.add_argument("--record", default="onnx_equal")
    asked = parser.parse_args()
    data = Path(os.environ["SIMDNN_DATA"]) / "imagenette224"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        learned = linked(of_each(data / "train", slice(asked.learned)).paths, folder / "train")
        backbone = network(asked.network, data.parent)
        guard = Guard.fit(learned, Extractor([backbone]), view_seed=0)
        seconds = timed(lambda: export_onnx(guard, folder / "guard.onnx"))
        attacked = fgsm(backbone, of_each(data / "val", slice(asked.attacked)).paths, folder)
        result = {
            "network": asked.network,
            "export_seconds": seconds,
            "file_bytes": (folder / "guard.onnx").stat().st_size,
            "clean": compared(guard, folder / "guard.onnx", of_each(data / "val", slice(asked.images)).paths),
            "attacked": compared(guard, folder / "guard.onnx", attacked) | {"eps": EPS},
        }
    print(json.dumps(result, indent=2))
    write_record(asked.record, result)


if __name__ == "__main__":
    main()
