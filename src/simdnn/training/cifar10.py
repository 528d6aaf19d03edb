"""Train a torchvision network on CIFAR-10: `python -m simdnn.training.cifar10 --network shufflenet_v2_x1_0`.

For networks whose ImageNet weights are not available. The architecture is torchvision's with ten outputs; the images of
32 x 32 pixels are enlarged to ``--side``. The schedule is short, for training on a CPU; the record beside the weights
has the accuracy reached.
"""

from __future__ import annotations

import io
import tarfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, pad

from simdnn.training.fresh import fresh_network, normalised, settle_norms
from simdnn.training.loop import Settings
from simdnn.training.program import (
    files_of,
    keep,
    record_accuracy,
    settings_of,
    train_on_cpu,
    training_options,
)


def read_archive(archive: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Read the parts ``train`` and ``test``, each (N, 3, 32, 32) uint8 and (N,) labels, by the sorted class names."""
    pictures: dict[str, list[NDArray[np.uint8]]] = {"train": [], "test": []}
    names: dict[str, list[str]] = {"train": [], "test": []}
    with tarfile.open(archive) as tar:
        for member in tar:
            part, label, name = (["", "", *member.name.split("/")])[-3:]
            file = tar.extractfile(member) if part in pictures and name.endswith(".jpg") else None
            if file is not None:
                pictures[part].append(np.array(Image.open(io.BytesIO(file.read())).convert("RGB")))
                names[part].append(label)
    classes = sorted(set(names["train"]))
    return {
        part: (
            torch.from_numpy(np.stack(pictures[part])).permute(0, 3, 1, 2),
            torch.tensor([classes.index(label) for label in names[part]]),
        )
        for part in pictures
    }


def prepared(pictures: Tensor, side: int) -> Tensor:
    """Return images (N, 3, 32, 32) uint8 enlarged to (N, 3, side, side) and normalised."""
    return normalised(interpolate(pictures.float() / 255, size=(side, side), mode="bilinear"))


def shifted(pictures: Tensor) -> Tensor:
    """Mirror half of the images at random, and shift all by up to four pixels."""
    mirrored = torch.rand(len(pictures)) < 0.5
    pictures = torch.where(mirrored.view(-1, 1, 1, 1), pictures.flip(-1), pictures)
    right, down = torch.randint(0, 9, (2,)).tolist()
    return pad(pictures, (4, 4, 4, 4))[..., down : down + 32, right : right + 32]


def train_cifar10(
    name: str, pictures: Tensor, labels: Tensor, side: int, settings: Settings, checkpoint: Path
) -> nn.Module:
    """Train a torchvision network from random weights."""
    network = fresh_network(name, 10, settings.seed)

    def loss(trained: nn.Module, rows: Tensor) -> Tensor:
        logits = trained(prepared(shifted(pictures[rows]), side)).float()
        return cross_entropy(logits, labels[rows], label_smoothing=0.1)

    network = train_on_cpu(
        network, len(pictures), loss, settings, checkpoint, {"network": name, "side": side}
    )
    return settle_norms(network, lambda rows: prepared(pictures[rows], side), len(pictures), settings)


@torch.no_grad()
def correct(network: nn.Module, pictures: Tensor, labels: Tensor, side: int) -> int:
    """Return the number of images that the network classifies correctly."""
    batches = zip(torch.split(pictures, 250), torch.split(labels, 250), strict=True)
    return sum(int((network(prepared(batch, side)).argmax(1) == truth).sum()) for batch, truth in batches)


def main() -> None:
    """Train, write the weights in half precision, and record their accuracy."""
    parser = training_options(
        __doc__, output="build/weights/cifar10", side=64, epochs=4, batch_size=128, rate=0.1
    )
    parser.add_argument(
        "--pictures", type=int, default=50_000, help="number of training images, drawn by the seed"
    )
    options = parser.parse_args()
    weights, checkpoint = files_of(options)
    start = time.perf_counter()
    parts = read_archive(options.data / "cifar10_jpeg.tar.xz")
    pictures, labels = parts["train"]
    rows = torch.from_numpy(
        np.random.default_rng(options.seed).permutation(len(pictures))[: options.pictures]
    )
    network = train_cifar10(
        options.network, pictures[rows], labels[rows], options.side, settings_of(options), checkpoint
    )
    seconds = time.perf_counter() - start
    keep(network, weights, checkpoint)
    pictures, labels = parts["test"]
    right = correct(network, pictures, labels, options.side)
    record_accuracy(weights, options, right, len(labels), {"seconds": seconds, "pictures": len(rows)})


if __name__ == "__main__":
    main()
