"""Time an exported guard beside PyTorch: `python experiments/scripts/onnx_speed.py`.

Each figure is of processes of their own, in turns: `simdnn check` of one image from cold, and of many images; the
rate is that of the images beyond the first. Needs SIMDNN_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from local_networks import NETWORKS, network
from onnx_equal import WITHOUT, linked
from opinion_speed import of_each
from record import timed, write_record
from simdnn.evaluation.int8 import export_int8
from simdnn.guard.guard import Guard
from simdnn.networks.extractor import Extractor
from simdnn.onnx.export import export_onnx

WITH = "from simdnn.cli import main; main()"
RULES = ("similarity", "profile")


def check(code: str, guard: Path, images: list[Path]) -> None:
    """Run `simdnn check` in a process of its own."""
    command = [sys.executable, "-c", code, "check", str(guard), "-", "--json"]
    subprocess.run(command, input="\n".join(map(str, images)), capture_output=True, text=True, check=True)


def measured(folder: Path, images: list[Path], repeats: int) -> dict[str, Any]:
    """Return seconds from cold and rates of the guards in a folder."""
    asked = {
        "torch": partial(check, WITH, folder / "guard.simdnn"),
        "onnx": partial(check, WITHOUT, folder / "guard.onnx"),
        "int8": partial(check, WITHOUT, folder / "int8.onnx"),
    }
    one: dict[str, list[float]] = {name: [] for name in asked}
    many: dict[str, list[float]] = {name: [] for name in asked}
    for run in asked.values():
        run(images[:1])
    for _ in range(repeats):
        for name, run in asked.items():
            one[name].append(timed(partial(run, images[:1])))
            many[name].append(timed(partial(run, images)))
    rates = {name: (len(images) - 1) / (median(many[name]) - median(one[name])) for name in asked}
    return {"seconds_of_one": one, "seconds_of_all": many, "images_per_second": rates}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=list(NETWORKS), default="mobilenet_v2")
    parser.add_argument("--learned", type=int, default=30, help="photographs of each class to learn")
    parser.add_argument("--images", type=int, default=25, help="photographs of each class to judge")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quantised", type=int, default=10, help="photographs of each class for int8")
    parser.add_argument("--record", default="onnx_speed")
    parser.add_argument("--dry", action="store_true", help="write no record")
    asked = parser.parse_args()
    data = Path(os.environ["SIMDNN_DATA"]) / "imagenette224"
    images = of_each(data / "val", slice(asked.images)).paths
    result: dict[str, Any] = {"network": asked.network, "images": len(images)}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        learned = linked(of_each(data / "train", slice(asked.learned)).paths, folder / "train")
        photos = linked(of_each(data / "val", slice(asked.quantised)).paths, folder / "photos")
        extractor = Extractor([network(asked.network, data.parent)])
        for rule in RULES:
            guard = Guard.fit(learned, extractor, rule=rule, view_seed=0)
            guard.save(folder / "guard.simdnn")
            export_onnx(guard, folder / "guard.onnx")
            export_int8(guard, photos, folder / "int8.onnx")
            result[rule] = measured(folder, images, asked.repeats)
    print(json.dumps(result, indent=2))
    if not asked.dry:
        write_record(asked.record, result)


if __name__ == "__main__":
    main()
