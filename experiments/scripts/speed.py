"""Speed as ratios, beside those of the last record: `python experiments/scripts/speed.py`, or `make bench`.

All run on the same photographs, in turn, in one process: the bare network as it was given and with its batch norms
fused, reading alone and the network alone, `check` with each rule, and other detectors. A ratio is one of medians, to
the bare network as it was given, or "fused". One image from cold, and memory, are measured in processes of their own.
`--record` writes the record.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from local_networks import NETWORKS, network
from record import RECORDS, timed, write_record
from simdnn.evaluation.baselines.detector import Detector, find_detector
from simdnn.evaluation.baselines.inputs import baseline_input, middle_layers
from simdnn.guard.guard import Guard
from simdnn.images.files import find_images
from simdnn.images.reading import read_image
from simdnn.networks.backbone import Backbone, load_backbone
from simdnn.networks.cache import FeatureCache, default_cache
from simdnn.networks.extractor import IN_CACHE, Extractor
from simdnn.rules.profile import LEVELS

BATCH = IN_CACHE * torch.get_num_threads()
PEERS = ("knn", "mahalanobis", "mahalanobis-multi", "squeezing")
SLOWER = 0.1
"""A ratio that grew by more than this share is marked."""
COLD = """
import sys, torch
from safetensors.torch import load_file
from torchvision.io import decode_image, ImageReadMode
from torchvision.models import get_model
network = get_model(sys.argv[1])
network.load_state_dict({name: t.float() for name, t in load_file(sys.argv[2]).items()}, strict=False)
with torch.inference_mode():
    image = decode_image(sys.argv[3], ImageReadMode.RGB)[None] / 255
    print(int(network.eval()((image - 0.5) / 0.5).argmax()))
"""
"""The least that a script which uses the network on one image does."""
STARTS = {"start Python": "", "import torch": "import torch", "import the command line": "import simdnn.cli"}
"""Python programs that do a part of what starting a command takes."""
PEAK = """
import sys
from simdnn.cli import app
try:
    app(sys.argv[1:])
finally:
    (peak,) = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(int(peak) // 1024, file=sys.stderr)
"""
"""A command, which then tells its peak memory in MiB on standard error; `getrusage` would count its parent's, too."""


def pixels_of(backbone: Backbone, path: Path) -> Tensor:
    """Read and preprocess one photograph."""
    return backbone.spec.preprocess(read_image(path))


def decode(backbone: Backbone, paths: list[Path]) -> None:
    """Read and preprocess alone, in as many threads as there are cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(partial(pixels_of, backbone), paths):
            pass


def forward(model: nn.Module, backbone: Backbone, images: Tensor) -> None:
    """Run a network of the backbone's alone, on images that are in memory."""
    with torch.inference_mode():
        for batch in torch.split(images, BATCH):
            model((batch - backbone.mean) / backbone.std)


def bare(model: nn.Module, backbone: Backbone, paths: list[Path], passes: int = 1) -> None:
    """Run a network of the backbone's alone: read, preprocess, normalise, forward so many times."""
    with ThreadPoolExecutor(os.cpu_count()) as pool, torch.inference_mode():
        images = pool.map(partial(pixels_of, backbone), paths)
        while batch := list(islice(images, BATCH)):
            pixels = (torch.stack(batch) - backbone.mean) / backbone.std
            for _ in range(passes):
                model(pixels)


def check(guard: Guard, rule: str, paths: list[Path], early: bool = False) -> None:
    """Run the guard, as `simdnn check` does after reading the guard's file."""
    for _ in guard.check(paths, rule=rule, early=early):
        pass


def score(backbone: Backbone, detector: Detector, paths: list[Path]) -> None:
    """Run another detector, reading included."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        images = torch.stack(list(pool.map(partial(pixels_of, backbone), paths)))
    detector.score(backbone, baseline_input(backbone, images, BATCH))


def peers(name: str, data: Path) -> dict[str, Callable[[list[Path]], None]]:
    """Fit other detectors to the first 30 photographs of each class; return what scores files by each."""
    plain = network(name, data)
    layers = (*middle_layers(plain), *plain.layers)
    mean = NETWORKS[name]
    weights = data / "weights" / f"{name}.safetensors"
    backbone = load_backbone(name, weights, mean=mean, std=mean, layers=layers)
    folders = sorted(path for path in (data / "imagenette224" / "train").iterdir() if path.is_dir())
    files = [(path, label) for label, folder in enumerate(folders) for path in find_images([folder])[:30]]
    clean = baseline_input(backbone, torch.stack([pixels_of(backbone, path) for path, _ in files]), BATCH)
    made: dict[str, Callable[[list[Path]], None]] = {}
    for peer in PEERS:
        detector = find_detector(peer)()
        detector.fit(backbone, clean, np.array([label for _, label in files]))
        made[peer] = partial(score, backbone, detector)
    return made


def seconds_of(command: list[str | Path], repeats: int) -> list[float]:
    """Time a command in a process of its own."""
    run = partial(subprocess.run, [str(part) for part in command], check=True, capture_output=True)
    return [timed(run) for _ in range(repeats)]


def peak(arguments: list[str | Path]) -> int:
    """Return the peak memory of a command of simdnn, in MiB."""
    command = [sys.executable, "-c", PEAK, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stderr.split()[-1])


def memory(data: Path, name: str, guard: Path, folder: Path) -> dict[str, int]:
    """Return the peak memory, in MiB, of `fit` and `check` on some photographs and on ten times as many."""
    photographs = find_images([data / "imagenette224" / "train"])
    mean = ",".join(map(str, NETWORKS[name] or ())) or "0.485,0.456,0.406"
    std = ",".join(map(str, NETWORKS[name] or ())) or "0.229,0.224,0.225"
    found = {}
    for step, title in ((10, "300 images"), (1, "3000 images")):
        chosen = photographs[::step]
        listed = folder / f"{step}.csv"
        rows = ["path,label", *(f"{path.absolute()},{path.parent.name}" for path in chosen)]
        listed.write_text("\n".join(rows) + "\n", encoding="utf-8")
        fit: list[str | Path] = [
            "fit",
            listed,
            "-o",
            folder / "memory.simdnn",
            "--backbone",
            name,
            "--no-cache",
        ]
        weights = data / "weights" / f"{name}.safetensors"
        found[f"fit, {title}"] = peak([*fit, "--weights", weights, "--mean", mean, "--std", std])
        found[f"check, {title}"] = peak(["check", guard, *chosen, "--json"])
    return found


def compared(ratios: dict[str, float], last: dict[str, float]) -> Table:
    """Return ratios beside those of the last record; what became slower is marked."""
    table = Table("", "now", "last record", "change")
    for name, ratio in ratios.items():
        before = last.get(name)
        change = "" if before is None else f"{100 * (ratio / before - 1):+.0f} %"
        slower = before is not None and ratio > before * (1 + SLOWER)
        table.add_row(
            name,
            f"{ratio:.3f}",
            "" if before is None else f"{before:.3f}",
            change + (" slower" if slower else ""),
            style="red" if slower else None,
        )
    return table


def main() -> None:
    """Measure, compare, and record if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    data_set = os.environ.get("SIMDNN_DATA")
    parser.add_argument("--data", type=Path, default=data_set, required=data_set is None)
    parser.add_argument("--network", choices=list(NETWORKS), default="mobilenet_v2")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--record", action="store_true", help="write the record")
    options = parser.parse_args()
    name, photographs = options.network, options.data / "imagenette224"
    backbone = network(name, options.data)
    extractor = Extractor([backbone], cache=FeatureCache(default_cache()))
    guards = {
        level: Guard.fit(photographs / "train", extractor, level=level, view_seed=0) for level in LEVELS
    }
    extractor.cache = None  # checking must not use cached features
    paths = find_images([photographs / "val"])
    images = torch.stack([pixels_of(backbone, path) for path in paths])

    jobs: dict[str, Callable[[], None]] = {
        "bare": partial(bare, backbone.network, backbone, paths),
        "bare, fused": partial(bare, backbone.fused, backbone, paths),
        "decode": partial(decode, backbone, paths),
        "forward, fused": partial(forward, backbone.fused, backbone, images),
    }
    some = next(iter(guards.values()))
    jobs |= {f"check {rule}": partial(check, some, rule, paths) for rule in ("similarity", "published")}
    jobs |= {f"check profile {level}": partial(check, one, "profile", paths) for level, one in guards.items()}
    jobs |= {f"peer {peer}": partial(run, paths) for peer, run in peers(name, options.data).items()}
    bare(backbone.network, backbone, paths[:BATCH])
    seconds: dict[str, list[float]] = {job: [] for job in jobs}
    for _ in range(options.repeats):
        for title, job in jobs.items():
            seconds[title].append(timed(job))
    with tempfile.TemporaryDirectory() as folder:
        guard = Path(folder) / "guard.simdnn"
        guards["standard"].save(guard)
        weights = options.data / "weights" / f"{name}.safetensors"
        simdnn = Path(sys.executable).with_name("simdnn")
        for title, code in STARTS.items():
            seconds[title] = seconds_of([sys.executable, "-c", code], options.repeats)
        seconds["one image, torch alone"] = seconds_of(
            [sys.executable, "-c", COLD, name, weights, paths[0]], options.repeats
        )
        for rule in ("similarity", "profile"):
            seconds[f"one image, check {rule}"] = seconds_of(
                [simdnn, "check", guard, paths[0], "--rule", rule], options.repeats
            )
        peaks = memory(options.data, name, guard, Path(folder))

    middle = {title: median(values) for title, values in seconds.items()}
    slowest = max(middle["decode"], middle["forward, fused"])
    timed_here = [title for title in middle if title.startswith(("check", "peer"))]
    ratios = {title: middle[title] / middle["bare"] for title in timed_here}
    ratios |= {f"{title}, fused": middle[title] / middle["bare, fused"] for title in timed_here}
    ratios["check similarity over the slower of decode and forward"] = middle["check similarity"] / slowest
    for rule in ("similarity", "profile"):
        cold = middle[f"one image, check {rule}"]
        ratios[f"one image, check {rule}, over torch alone"] = cold / middle["one image, torch alone"]
    kept = RECORDS / f"speed_{name}.json"
    last: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    Console().print(compared(ratios, last.get("ratios", {})))
    Console().print("peak memory in MiB:", peaks)
    if options.record:
        write_record(
            kept.stem,
            {
                "network": name,
                "n": len(paths),
                "repeats": options.repeats,
                "ratios": ratios,
                "seconds": seconds,
                "peak_mib": peaks,
            },
        )


if __name__ == "__main__":
    main()
