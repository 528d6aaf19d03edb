"""Attack photographs white-box, once, and keep the images: `python benchmarks/attacked.py --network mobilenet_v2`.

Every photograph that the network classifies rightly is attacked; one file per attack, so that a stopped run goes on
where it was. Labels are those of ImageNet: the folders are named by WordNet ids, in the order of the classes' outputs.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from torch import Tensor

from simdnn.cli.progress import progress_bar
from simdnn.features.backbones import Backbone, load_backbone
from simdnn.features.images import labelled_images, read_image
from simdnn.guard.detector import Classifier
from simdnn.lab.attacks import DDN, FGSM, PGD, Recipe, attack, predict

OUTPUTS = {
    "n01440764": 0,
    "n02102040": 217,
    "n02979186": 482,
    "n03000684": 491,
    "n03028079": 497,
    "n03394916": 566,
    "n03417042": 569,
    "n03425413": 571,
    "n03445777": 574,
    "n03888257": 701,
}
"""Output of an ImageNet network for each folder."""

HALF = (0.5, 0.5, 0.5)
NETWORKS = {"mobilenet_v2": HALF, "resnet18": None, "squeezenet1_1": None}
"""Networks with local weights, and the normalisation that these take, if not ImageNet's."""

COLUMNS: dict[str, Recipe] = {
    **{f"fgsm-{eps}": FGSM(eps=eps) for eps in (0.01, 0.02, 0.04)},
    **{f"pgd-{eps}": PGD(eps=eps, steps=20, step_size=eps / 8) for eps in (0.01, 0.02, 0.04)},
    **{f"ddn-{steps}": DDN(steps=steps) for steps in (20, 40, 60)},
}
"""The paper's nine attack columns; steps and step size of PGD are ours, the paper prints none."""


@dataclass(frozen=True)
class Photographs:
    """Photographs as the network takes them: (N, 3, H, W) in [0, 1], names, and outputs (N,)."""

    pixels: Tensor
    names: list[str]
    labels: list[str]
    outputs: Tensor


def network(name: str, data: Path) -> Backbone:
    """Return a network with its local weights."""
    mean = NETWORKS[name]
    return load_backbone(name, data / "weights" / f"{name}.safetensors", mean=mean, std=mean)


def photographs(folder: Path, backbone: Backbone) -> Photographs:
    """Read a folder of photographs, one subfolder per WordNet id."""
    paths, labels = labelled_images(folder)
    pixels = torch.stack([backbone.spec.preprocess(read_image(path)) for path in paths])
    names = [f"{label}/{path.name}" for path, label in zip(paths, labels, strict=True)]
    return Photographs(pixels, names, labels, torch.tensor([OUTPUTS[label] for label in labels]))


def right(backbone: Backbone, images: Photographs) -> Tensor:
    """Return the positions of the photographs that the network classifies rightly among all its outputs."""
    return torch.nonzero(predict(Classifier(backbone), images.pixels) == images.outputs)[:, 0]


def attacked(name: str, column: str, store: Path) -> dict[str, Tensor]:
    """Return one column: ``images`` as floats, ``success``, ``success_8bit`` and ``positions`` of the originals."""
    return load_file(store / name / f"{column}.safetensors")


def main() -> None:
    """Attack what has not been attacked yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("SIMDNN_DATA"))
    parser.add_argument("--network", choices=list(NETWORKS), default="mobilenet_v2")
    parser.add_argument("--store", type=Path, default=Path("build/attacked"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    backbone = network(options.network, options.data)
    images = photographs(options.data / "imagenette224" / "val", backbone)
    positions = right(backbone, images)
    console = Console()
    (options.store / options.network).mkdir(parents=True, exist_ok=True)
    for column, recipe in COLUMNS.items():
        path = options.store / options.network / f"{column}.safetensors"
        if path.exists():
            continue
        with progress_bar(f"{options.network} {column}") as progress:
            result = attack(
                recipe,
                Classifier(backbone),
                images.pixels[positions],
                images.outputs[positions],
                batch_size=16,
                progress=progress,
            )
        part = path.with_suffix(".part")
        save_file(
            {
                "images": result.images.contiguous(),
                "success": result.success,
                "success_8bit": result.success_8bit,
                "positions": positions,
            },
            part,
        )
        part.rename(path)
        console.print(
            f"{column}: {len(positions)} attacked, {int(result.success.sum())} turned, "
            f"{int(result.success_8bit.sum())} also after rounding to 8 bits"
        )


if __name__ == "__main__":
    main()
