"""Time the second opinion against the bare network: `python experiments/scripts/opinion_speed.py --auxiliary FILE`.

The quick grade is the rule `second-opinion` at level light. The networks have random weights: that changes no time.
Guard and bare network run alternately in one process; a ratio is one of medians. The certificate of one image is timed
alone.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from safetensors.torch import save_file

from record import timed, write_record
from simdnn.evaluation.datasets import Part
from simdnn.guard.guard import Guard
from simdnn.images.files import find_images
from simdnn.images.reading import read_image
from simdnn.networks.auxiliary import AuxiliaryNetwork, read_auxiliary, untrained
from simdnn.networks.backbone import Backbone, load_backbone
from simdnn.networks.draws import Draws
from simdnn.networks.extractor import Extractor
from simdnn.networks.votes import count_votes
from speed import bare, check

NETWORKS = ("vgg16", "resnet18")
RULES = ("second-opinion", "profile+opinion")
LEARNED = 30
"""Photographs of each class that a guard learns."""
CERTIFY = 1000


def random_network(name: str, folder: Path) -> Backbone:
    """Return a network of 1000 outputs with random weights."""
    torch.manual_seed(0)
    file = folder / f"{name}.safetensors"
    save_file({key: tensor.contiguous() for key, tensor in untrained(name, 1000).state_dict().items()}, file)
    return load_backbone(name, file)


def first_of_each(folder: Path, n: int) -> Part:
    """Return the first photographs of each class folder."""
    files = {label: find_images([label])[:n] for label in sorted(folder.iterdir()) if label.is_dir()}
    return Part(
        [path for paths in files.values() for path in paths],
        [label.name for label, paths in files.items() for _ in paths],
    )


def measured(
    backbone: Backbone, auxiliary: AuxiliaryNetwork, learned: Path, paths: list[Path], repeats: int
) -> dict[str, Any]:
    """Return seconds of the bare network and of the rules, their ratios, and the seconds of a certificate."""
    guard = Guard.fit(learned, Extractor([backbone], auxiliary=auxiliary), level="light", view_seed=0)
    jobs = {"bare": partial(bare, backbone.network, backbone, paths)} | {
        rule: partial(check, guard, rule, paths) for rule in RULES
    }
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    bare(backbone.network, backbone, paths)
    for _ in range(repeats):
        for name, job in jobs.items():
            seconds[name].append(timed(job))

    image = backbone.spec.preprocess(read_image(paths[0]))[None]
    draws = Draws(bytes(32), CERTIFY)
    return {
        "seconds": seconds,
        "ratio_to_bare_network": {rule: median(seconds[rule]) / median(seconds["bare"]) for rule in RULES},
        "certificate_seconds": [timed(partial(count_votes, auxiliary, image, draws)) for _ in range(repeats)],
    }


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("SIMDNN_DATA"))
    parser.add_argument("--auxiliary", type=Path, required=True, help="the file of simdnn train-auxiliary")
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    photographs = options.data / "imagenette224"
    auxiliary = read_auxiliary(options.auxiliary)
    paths = find_images([photographs / "val"])[: options.images]
    with tempfile.TemporaryDirectory() as folder:
        learned = first_of_each(photographs / "train", LEARNED).write(Path(folder) / "fit.csv")
        found = {
            name: measured(random_network(name, Path(folder)), auxiliary, learned, paths, options.repeats)
            for name in NETWORKS
        }
    facts = {
        "auxiliary": auxiliary.identity,
        "architecture": auxiliary.spec.architecture,
        "side": auxiliary.spec.side,
        "network_side": auxiliary.spec.network_side,
    }
    write_record(
        "opinion_speed",
        facts
        | {"n": len(paths), "repeats": options.repeats, "certificate_draws": CERTIFY, "networks": found},
    )
    for name, one in found.items():
        ratios = {rule: round(ratio, 2) for rule, ratio in one["ratio_to_bare_network"].items()}
        print(name, ratios, "certificate:", round(median(one["certificate_seconds"]), 1), "s")


if __name__ == "__main__":
    main()
