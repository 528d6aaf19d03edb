"""Time `check` against the bare network on the same photographs: `python experiments/scripts/check_speed.py`.

Both read the files in threads ahead of the network, and run it on the same number of images at once. They run
alternately in one process; the result is the ratio of the medians.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from record import timed, write_record
from simdnn.guard.guard import Guard
from simdnn.images.files import find_images
from simdnn.images.reading import read_image
from simdnn.networks.backbone import Backbone, load_backbone
from simdnn.networks.cache import FeatureCache, default_cache
from simdnn.networks.extractor import IN_CACHE, Extractor
from simdnn.rules.profile import LEVELS

BATCH = IN_CACHE * torch.get_num_threads()

HALF = (0.5, 0.5, 0.5)
NETWORKS = {"mobilenet_v2": HALF, "resnet18": None, "squeezenet1_1": None}
"""Networks with local weights, and their mean and standard deviation, if not ImageNet's."""


def network(name: str, data: Path) -> Backbone:
    """Return a network with its local weights."""
    mean = NETWORKS[name]
    return load_backbone(name, data / "weights" / f"{name}.safetensors", mean=mean, std=mean)


def bare(backbone: Backbone, paths: list[Path]) -> None:
    """Run the network alone: read, preprocess, normalise, forward; no features, no Sim-DNN."""
    model, preprocess = backbone.network, backbone.spec.preprocess

    def load(path: Path) -> Tensor:
        return preprocess(read_image(path))

    with ThreadPoolExecutor(os.cpu_count()) as pool, torch.inference_mode():
        images = pool.map(load, paths)
        while batch := list(islice(images, BATCH)):
            model((torch.stack(batch) - backbone.mean) / backbone.std)


def check(guard: Guard, rule: str, paths: list[Path]) -> None:
    """Run the guard, as `simdnn check` does after reading the guard's file."""
    for _ in guard.check(paths, rule=rule):
        pass


def checks(guards: dict[str, Guard], paths: list[Path]) -> dict[str, partial[None]]:
    """Return the calls that are timed, by name: the rules of one pass, and the profile at each level."""
    one = next(iter(guards.values()))
    single = {rule: partial(check, one, rule, paths) for rule in ("similarity", "published")}
    return single | {f"profile {level}": partial(check, g, "profile", paths) for level, g in guards.items()}


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("SIMDNN_DATA"))
    parser.add_argument("--network", choices=list(NETWORKS), default="mobilenet_v2")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    photographs = options.data / "imagenette224"
    extractor = Extractor([network(options.network, options.data)], cache=FeatureCache(default_cache()))
    guards = {
        level: Guard.fit(photographs / "train", extractor, level=level, view_seed=0) for level in LEVELS
    }
    extractor.cache = None  # checking must not use cached features
    backbone = extractor.backbones[0]
    paths = find_images([photographs / "val"])
    bare(backbone, paths[:BATCH])

    jobs = {"bare": partial(bare, backbone, paths)} | checks(guards, paths)
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(options.repeats):
        for name, job in jobs.items():
            seconds[name].append(timed(job))
    ratios = {name: median(seconds[name]) / median(seconds["bare"]) for name in seconds if name != "bare"}
    write_record(
        f"check_speed_{options.network}",
        {
            "network": options.network,
            "n": len(paths),
            "repeats": options.repeats,
            "seconds": seconds,
            "ratio_to_bare_network": ratios,
        },
    )
    print({rule: round(ratio, 3) for rule, ratio in ratios.items()})


if __name__ == "__main__":
    main()
