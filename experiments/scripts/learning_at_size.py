"""Learn and decide at the size of ImageNet: `python experiments/scripts/learning_at_size.py`.

It writes shards of features as a network's last ReLU gives them (mostly zeros, long tails, classes of several kinds of
image) under build/, and measures, each in a process of its own: one bare reading of the files, learning, the bare
matrix product with all prototypes, and deciding. Before each reading the files are dropped from the system's cache, so
that all read from the disk. Memory is the largest resident set, with its curve. `--growth` measures how time grows with
the number of rows, features, classes and prototypes, and draws it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHARD = 1 << 29
"""Bytes of features in each shard."""

BLOCK = 64 << 20
"""Bytes that a bare reading reads at a time, as learning does."""

EVERY = 0.5
"""Seconds between two points of the memory curve."""


@dataclass(frozen=True)
class Size:
    """What is learned: rows, features, classes; and kinds of image within a class."""

    rows: int
    width: int
    classes: int
    kinds: int = 5


def write_shards(folder: Path, size: Size, seed: int) -> None:
    """Write shards, in random order of the classes, unless they are there already."""
    done = folder / "size.json"
    facts = asdict(size) | {"seed": seed}
    if done.exists() and json.loads(done.read_text(encoding="utf-8")) == facts:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.npy"):
        old.unlink()
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(size.classes, size.width)).astype(np.float32)
    kinds = rng.normal(scale=0.5, size=(size.kinds, size.width)).astype(np.float32)
    at_once = max(1, SHARD // (4 * size.width))
    for number, start in enumerate(range(0, size.rows, at_once)):
        count = min(at_once, size.rows - start)
        labels = rng.integers(size.classes, size=count)
        array = np.lib.format.open_memmap(
            folder / f"shard-{number:04}.npy", mode="w+", dtype=np.float32, shape=(count, size.width)
        )
        for first in range(0, count, 2048):
            rows = slice(first, min(first + 2048, count))
            own = labels[rows]
            x = rng.standard_normal((len(own), size.width), dtype=np.float32)
            x += centres[own]
            x += kinds[rng.integers(size.kinds, size=len(own))]
            x -= 1.0  # a share of about three quarters is zero, as after a ReLU
            np.maximum(x, 0, out=x)
            x *= rng.lognormal(sigma=0.2, size=(len(own), 1)).astype(np.float32)  # contrast of a photograph
            array[rows] = x
        array.flush()
        del array
        np.save(folder / f"shard-{number:04}.labels.npy", labels)
    done.write_text(json.dumps(facts), encoding="utf-8")


def features_of(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.npy")) if not path.name.endswith(".labels.npy")]


def drop_cache(folder: Path) -> None:
    """Ask the system to forget the files, so that they are read from the disk."""
    for path in folder.glob("*.npy"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def bare_read(folder: Path) -> None:
    buffer = bytearray(BLOCK)
    for path in features_of(folder):
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


@contextmanager
def memory_curve() -> Iterator[list[tuple[float, float]]]:
    """Yield seconds and resident megabytes, a point every `EVERY` seconds, until the block ends."""
    curve: list[tuple[float, float]] = []
    ended, start, page = threading.Event(), time.perf_counter(), os.sysconf("SC_PAGE_SIZE")

    def watch() -> None:
        while not ended.is_set():
            resident = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * page
            curve.append((round(time.perf_counter() - start, 1), round(resident / 1e6, 1)))
            ended.wait(EVERY)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield curve
    finally:
        ended.set()
        watcher.join()


def measure(phase: str, folder: Path, rows: int) -> dict[str, Any]:
    """Measure one phase in this process."""
    from simdnn.features.guard import FeatureGuard
    from simdnn.features.learning import learn_features
    from simdnn.features.shards import Shards

    drop_cache(folder)
    result: dict[str, Any] = {}
    guard_file = folder / "guard.simdnn"
    if phase == "read":
        result["seconds"] = timed(lambda: bare_read(folder))
    elif phase == "learn":
        warm_up()
        shards = Shards(folder)
        start, reached = time.perf_counter(), dict[int, float]()

        def note(done: int, total: int) -> None:
            reached.setdefault(2 * done // total, time.perf_counter() - start)  # 1: all rows read once

        with memory_curve() as curve:
            result["seconds"] = timed(lambda: learn_features(shards, progress=note).save(guard_file))
        result["seconds_of_parts"] = {
            "range of each feature": reached[1],
            "prototypes": reached[2] - reached[1],
            "calibrating and writing": result["seconds"] - reached[2],
        }
        result["memory_curve_s_MB"] = thinned(curve)
        learned = FeatureGuard.read(guard_file)
        result |= {"prototypes": len(learned.support), "learned": learned.learned}
        result["calibrated"] = len(learned.calibration_scores)
    else:
        guard = FeatureGuard.read(guard_file)
        table = guard.nearest.table
        samples = np.concatenate(list(first_rows(Shards(folder), rows)))
        product = np.empty((guard.nearest.rows, len(table)), dtype=np.float32)

        def multiply() -> None:
            for start in range(0, len(samples), guard.nearest.rows):
                part = samples[start : start + guard.nearest.rows]
                np.matmul(part, table.T, out=product[: len(part)])

        def decide() -> None:
            guard.decide(samples)

        job: Callable[[], None] = decide if phase == "decide" else multiply
        job()
        with memory_curve() as curve:
            result["seconds"] = min(timed(job) for _ in range(3))
        result |= {"rows": len(samples), "prototypes": len(table), "memory_curve_s_MB": thinned(curve)}
        if phase == "decide":
            result["rows_checked_against_eq_10"] = check_exact(guard, samples[:20])
    result["peak_MB"] = peak_memory()
    result["cpu_seconds_of_the_phase_with_its_start"] = round(sum(os.times()[:2]), 1)
    return result


def peak_memory() -> float:
    """Return the largest resident set of this process in megabytes; `getrusage` would count its parent's."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return round(int(peak) * 1.024e-3, 1)


def warm_up() -> None:
    """Compile the inner loop, which takes some seconds once per machine."""
    from simdnn.paper.learning import ClassModel, learn

    learn(ClassModel.empty(2), np.ones((3, 2), dtype=np.float32), np.arange(3))


def first_rows(shards: Any, rows: int) -> Iterator[NDArray[np.float32]]:
    left = rows
    for block in shards.blocks():
        yield block.features[:left]
        left -= len(block.features)
        if left <= 0:
            return


def check_exact(guard: Any, samples: NDArray[np.float32]) -> int:
    """Stop unless label and score are those of eq. 10 against every prototype, and return how many were compared."""
    from simdnn.paper.equations import similarity

    winners, scores = guard.decide(samples)
    slow = similarity(guard.scaling(samples), np.vstack(guard.parts), guard.variances)
    np.testing.assert_array_equal(winners, slow.argmax(axis=1))
    np.testing.assert_array_equal(scores, slow.max(axis=1))
    return len(samples)


def thinned(curve: list[tuple[float, float]], most: int = 200) -> list[tuple[float, float]]:
    return curve[:: max(1, -(-len(curve) // most))]


def apart(phase: str, folder: Path, rows: int) -> dict[str, Any]:
    """Measure one phase in a process of its own."""
    command = [
        sys.executable,
        __file__,
        "--phase",
        phase,
        "--folder",
        str(folder),
        "--decide-rows",
        str(rows),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(phase, {name: value for name, value in result.items() if "curve" not in name}, flush=True)
    return result


def measured(folder: Path, size: Size, rows: int, seed: int) -> dict[str, Any]:
    """Write shards of one size and measure all phases."""
    write_shards(folder, size, seed)
    phases = {phase: apart(phase, folder, rows) for phase in ("read", "learn", "multiply", "decide")}
    return {
        "size": asdict(size) | {"bytes": 4 * size.rows * size.width},
        "phases": phases,
        "ratios": {
            "learning_over_one_reading": phases["learn"]["seconds"] / phases["read"]["seconds"],
            "deciding_over_matrix_product": phases["decide"]["seconds"] / phases["multiply"]["seconds"],
        },
    }


def growth(folder: Path, base: Size, rows: int, seed: int) -> dict[str, list[dict[str, Any]]]:
    """Measure sizes that differ from a base in one number."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, values in {
        "rows": [base.rows // 4, base.rows // 2, base.rows, 2 * base.rows],
        "width": [base.width // 4, base.width // 2, base.width, 2 * base.width],
        "classes": [max(1, base.classes // 4), base.classes, 4 * base.classes],
    }.items():
        found[name] = []
        for value in values:
            print(name, value, flush=True)
            found[name].append(measured(folder, replace(base, **{name: value}), rows, seed))
    return found


def draw(found: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Draw seconds of learning and of deciding over rows, features, classes and prototypes."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure = Figure(figsize=(10, 5.5), layout="constrained")
    axes = figure.subplots(2, 4, sharey="row").tolist()
    every = [one for series in found.values() for one in series]
    for column, name in enumerate(["rows", "width", "classes", "prototypes"]):
        series = every if name == "prototypes" else found[name]
        x = [
            one["phases"]["learn"]["prototypes"] if name == "prototypes" else one["size"][name]
            for one in series
        ]
        for row, phase in enumerate(["learn", "decide"]):
            work = [one["phases"][phase]["seconds"] for one in series]
            axes[row][column].loglog(x, work, "o" if name == "prototypes" else "o-")
            axes[row][column].set_xlabel("features" if name == "width" else name)
            for axis in (axes[row][column].xaxis, axes[row][column].yaxis):
                axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
                axis.set_minor_formatter(NullFormatter())
    axes[0][0].set_ylabel("learning, s")
    axes[1][0].set_ylabel("deciding, s")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def timed(job: Callable[[], object]) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_281_167)
    parser.add_argument("--width", type=int, default=4_096)
    parser.add_argument("--classes", type=int, default=1_000)
    parser.add_argument("--kinds", type=int, default=5, help="kinds of image within a class")
    parser.add_argument("--decide-rows", type=int, default=4_000)
    parser.add_argument("--folder", type=Path, default=Path("build/features-at-size"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--growth", action="store_true", help="vary each number around the given size")
    parser.add_argument("--figure", type=Path, default=Path("build/learning-at-size.png"))
    parser.add_argument("--phase", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.phase:
        print(json.dumps(measure(options.phase, options.folder, options.decide_rows)))
        return
    from record import write_record  # imports PyTorch, whose memory is no part of what is measured

    size = Size(options.rows, options.width, options.classes, options.kinds)
    arguments = (options.folder, size, options.decide_rows, options.seed)
    load = [os.getloadavg()[0]]
    if options.growth:
        found = growth(*arguments)
        draw(found, options.figure)
        name, result = "learning_growth", {"growth": found}
    else:
        name, result = "learning_at_size", measured(*arguments)
    load.append(os.getloadavg()[0])
    target = {
        "learning_over_one_reading": "<= 3",
        "deciding_over_matrix_product": "<= 2",
        "peak_MB": "< 2000",
    }
    path = write_record(
        name, result | {"target": target, "seed": options.seed, "load_before_and_after": load}
    )
    print(path)


if __name__ == "__main__":
    main()
