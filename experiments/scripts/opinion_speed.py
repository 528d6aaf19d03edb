"""Time the second opinion against the bare network: `python experiments/scripts/opinion_speed.py --auxiliary FILE`.

At level light, and with `--early` at level standard, which takes as many draws as each image needs; that depends on the
answers, so it is timed only where the network has its ImageNet weights. A VGG-16 with random weights takes no other
time than one that was trained. Guard and bare network run alternately in one process; a ratio is one of medians. The
certificate of one image is timed alone.
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

from local_networks import network
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

NETWORKS = {"vgg16": False, "resnet18": True}
"""Whether a network has its ImageNet weights here; else they are random."""
RULES = ("second-opinion", "profile+opinion")
LEARNED = 30
"""Photographs of each class that a guard learns, the last: an auxiliary network may have learned the first."""
CERTIFY = 1000


def random_network(name: str, folder: Path) -> Backbone:
    """Return a network of 1000 outputs with random weights."""
    torch.manual_seed(0)
    file = folder / f"{name}.safetensors"
    save_file({key: tensor.contiguous() for key, tensor in untrained(name, 1000).state_dict().items()}, file)
    return load_backbone(name, file)


def of_each(folder: Path, chosen: slice) -> Part:
    """Return some photographs of each class folder, by their positions in it."""
    files = {label: find_images([label])[chosen] for label in sorted(folder.iterdir()) if label.is_dir()}
    return Part(
        [path for paths in files.values() for path in paths],
        [label.name for label, paths in files.items() for _ in paths],
    )


def measured(
    backbone: Backbone,
    auxiliary: AuxiliaryNetwork,
    learned: Path,
    paths: list[Path],
    *,
    early: bool,
    repeats: int,
) -> dict[str, Any]:
    """Return seconds of the bare network and of the rules, their ratios, and the seconds of a certificate."""
    extractor = Extractor([backbone], auxiliary=auxiliary)
    guard = Guard.fit(learned, extractor, level="light", view_seed=0)
    jobs = {"bare": partial(bare, backbone.network, backbone, paths)} | {
        rule: partial(check, guard, rule, paths) for rule in RULES
    }
    if early:
        standard = Guard.fit(learned, extractor, level="standard", view_seed=0)
        jobs |= {f"{rule}, early": partial(check, standard, rule, paths, early=True) for rule in RULES}
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    bare(backbone.network, backbone, paths)
    for _ in range(repeats):
        for name, job in jobs.items():
            seconds[name].append(timed(job))

    image = backbone.spec.preprocess(read_image(paths[0]))[None]
    draws = Draws(bytes(32), CERTIFY)
    return {
        "seconds": seconds,
        "ratio_to_bare_network": {
            name: median(each) / median(seconds["bare"]) for name, each in seconds.items() if name != "bare"
        },
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
        learned = of_each(photographs / "train", slice(-LEARNED, None)).write(Path(folder) / "fit.csv")
        found = {
            name: measured(
                network(name, options.data) if trained else random_network(name, Path(folder)),
                auxiliary,
                learned,
                paths,
                early=trained,
                repeats=options.repeats,
            )
            for name, trained in NETWORKS.items()
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
