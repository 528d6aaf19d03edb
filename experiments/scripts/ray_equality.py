"""Fit and check with Ray and without: `python experiments/scripts/ray_equality.py --images 3000 --kill`.

The same photographs, network and seeds in one process, and on a local Ray of one and of two processes: how far the
guards are apart, which verdicts differ, and how many photographs a second each comes to. With --kill two processes that
run the network are killed on the way, and the driver once; then how many finished blocks it found when it was started
again is recorded, too. Each process has one thread.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from record import write_record
from simdnn.distributed.checking import check_on_ray
from simdnn.distributed.cluster import connected
from simdnn.distributed.extractor import RayExtractor
from simdnn.distributed.fitting import fit_on_ray
from simdnn.distributed.sources import find_source
from simdnn.guard.fitting import Fit
from simdnn.guard.guard import Guard
from simdnn.guard.settings import Settings
from simdnn.networks.backbone import Backbone, load_backbone
from simdnn.networks.extractor import Extractor

HALF = (0.5, 0.5, 0.5)
SEED, VIEW_SEED = 0, 0


class Clock:
    """Takes the rate between the first images done and the last, and kills processes on the way."""

    def __init__(self, kills: int = 0, end_at: float | None = None) -> None:
        self.kills, self.end_at = kills, end_at
        self.killed: list[int] = []
        self.first = self.last = (0, 0.0)

    def __call__(self, done: int, total: int) -> None:
        """Note how far the work is."""
        self.last = (done, time.perf_counter())
        if not self.first[1]:
            self.first = self.last
        if len(self.killed) < self.kills and done > (len(self.killed) + 1) * total / (self.kills + 2):
            for pid in own_workers()[:1]:
                os.kill(pid, signal.SIGKILL)
                self.killed.append(pid)
        if self.end_at is not None and done > self.end_at * total:
            os.kill(os.getpid(), signal.SIGKILL)

    @property
    def rate(self) -> float:
        """Images per second."""
        return (self.last[0] - self.first[0]) / max(self.last[1] - self.first[1], 1e-9)


def own_workers() -> list[int]:
    """Return the processes that run the network, of those below this process."""
    parents, named = dict[int, int](), list[int]()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            status = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            command = (entry / "cmdline").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        parents[int(entry.name)] = int(status.rpartition(")")[2].split()[1])
        if command.startswith("ray::MapWorker"):
            named.append(int(entry.name))

    def ours(pid: int) -> bool:
        while pid > 1 and pid != os.getpid():
            pid = parents.get(pid, 0)
        return pid == os.getpid()

    return [pid for pid in named if ours(pid)]


def photographs(data: Path, part: str, images: int, folder: Path) -> Path:
    """Link to so many photographs, the same number of each class."""
    classes = sorted(path for path in (data / "imagenette224" / part).iterdir() if path.is_dir())
    shutil.rmtree(folder, ignore_errors=True)
    for label in classes:
        (folder / label.name).mkdir(parents=True)
        for path in sorted(label.iterdir())[: images // len(classes)]:
            (folder / label.name / path.name).symlink_to(path)
    return folder


def fitted(
    actors: int, folder: Path, test: Path, backbone: Backbone, runs: Path, clock: Clock
) -> dict[str, Any]:
    """Fit and check on a local Ray of so many processes."""
    blocks_found = len(list(runs.glob("*/*.block")))
    start = time.perf_counter()
    with connected(actors=actors) as cluster:
        started = time.perf_counter()
        source = find_source([folder], labelled=True)
        extractor = RayExtractor([backbone], cluster=cluster, source=source, runs=runs)
        fit = Fit(folder, Settings(seed=SEED), "standard", 0.2, None, VIEW_SEED, False, 0.05)
        guard = fit_on_ray(fit, extractor, clock)
        seconds = time.perf_counter() - started
        blocks = len(list(runs.glob("*/*.block")))
        extractor.forget_runs()
        checking = RayExtractor(
            [backbone], cluster=cluster, source=find_source([test], labelled=False), runs=runs
        )
        verdicts = [verdict for verdict, _ in check_on_ray(guard, checking)]
        checking.forget_runs()
    return {
        "guard": guard,
        "verdicts": verdicts,
        "seconds_to_start": started - start,
        "seconds": seconds,
        "images_per_second": clock.rate,
        "workers_killed": len(clock.killed),
        "blocks_found": blocks_found,
        "blocks": blocks,
    }


def compared(one: Guard, expected: list[Any], found: dict[str, Any]) -> dict[str, Any]:
    """Replace guard and verdicts by how far they are from those of one process."""
    guard, verdicts = found.pop("guard"), found.pop("verdicts")
    ours, theirs = guard.model.prototypes, one.model.prototypes
    same = ours.vectors.shape == theirs.vectors.shape
    return found | {
        "prototypes": len(ours),
        "largest_difference_of_prototypes": float(np.abs(ours.vectors - theirs.vectors).max())
        if same
        else None,
        "supports_equal": same and bool((ours.support == theirs.support).all()),
        "difference_of_thresholds": abs(guard.threshold() - one.threshold()),
        "verdicts": len(verdicts),
        "verdicts_that_differ": sum(
            (ours.path, ours.verdict, ours.label) != (theirs.path, theirs.verdict, theirs.label)
            for ours, theirs in zip(verdicts, expected, strict=True)
        ),
    }


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SIMDNN_DATA", "data")))
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--test-images", type=int, default=500)
    parser.add_argument("--kill", action="store_true", help="kill two workers, and the driver once")
    parser.add_argument("--build", type=Path, default=Path("build/ray"))
    parser.add_argument("--until-killed", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    build = options.build.absolute()
    weights = options.data / "weights" / "mobilenet_v2.safetensors"
    backbone = load_backbone("mobilenet_v2", weights, mean=HALF, std=HALF)
    if options.until_killed:
        fitted(2, build / "train", build / "test", backbone, build / "runs", Clock(end_at=0.5))
        return
    train = photographs(options.data, "train", options.images, build / "train")
    test = photographs(options.data, "val", options.test_images, build / "test")
    shutil.rmtree(build / "runs", ignore_errors=True)
    load = [os.getloadavg()[0]]
    clock, start = Clock(), time.perf_counter()
    extractor = Extractor([backbone], workers=1, device="cpu")
    one = Guard.fit(train, extractor, seed=SEED, view_seed=VIEW_SEED, progress=clock)
    alone = {"seconds": time.perf_counter() - start, "images_per_second": clock.rate}
    expected = list(one.check(test))
    print("one process", alone, flush=True)
    found: dict[str, dict[str, Any]] = {}
    for actors in (1, 2):
        result = fitted(actors, train, test, backbone, build / "runs", Clock())
        found[f"ray_{actors}"] = compared(one, expected, result)
        print(actors, found[f"ray_{actors}"], flush=True)
    if options.kill:
        command = [
            sys.executable,
            __file__,
            "--until-killed",
            "--data",
            str(options.data),
            "--build",
            str(build),
        ]
        status = subprocess.run(command, check=False).returncode
        if status != -signal.SIGKILL:
            raise SystemExit(f"expected a driver that is killed, got the exit status {status}")
        result = fitted(2, train, test, backbone, build / "runs", Clock(kills=2))
        found["ray_2_killed"] = compared(one, expected, result)
        print("killed", found["ray_2_killed"], flush=True)
    load.append(os.getloadavg()[0])
    path = write_record(
        "ray_equality",
        {
            "what": "fit and check of MobileNetV2, level standard, in one process and on a local Ray",
            "images": sum(1 for _ in train.glob("*/*")),
            "test_images": len(expected),
            "seeds": {"seed": SEED, "view_seed": VIEW_SEED},
            "one_process": alone,
            **found,
            "load_before_and_after": load,
            "note": "images_per_second is taken between the first images done and the last, without start-up; it "
            "counts images that are compared with views, which take three passes, and others alike. All runs have one "
            "thread a process; with Ray a further process reads.",
        },
    )
    print(path)


if __name__ == "__main__":
    main()
