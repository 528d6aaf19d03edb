"""Train a torchvision network on photographs: `python -m simdnn.training.photographs --network shufflenet_v2_x1_0`.

For the benchmark's networks whose ImageNet weights are not available. The photographs of ``imagenette160`` belong to no
guard and no test. A network that learned from ImageNet teaches the new one, from random weights, all that it sees in
them (Hinton, Vinyals and Dean, 2015), besides their classes; so few photographs suffice. A large network learns most of
it on small images, and ends on those of its own size (Touvron et al., 2019). The record beside the weights has the
accuracy on ``imagenette224/val``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, kl_div, log_softmax

from simdnn.images.files import labelled_images
from simdnn.images.preprocess import Preprocess
from simdnn.images.reading import read_image
from simdnn.networks.backbone import Backbone, load_backbone
from simdnn.training.augment import random_crops
from simdnn.training.data import DecodedImages, decode_images
from simdnn.training.fresh import fresh_network, normalised, settle_norms
from simdnn.training.head import head_of, with_features
from simdnn.training.loop import Settings
from simdnn.training.program import (
    files_of,
    keep,
    record_accuracy,
    settings_of,
    train_on_cpu,
    training_options,
)

TEACHER, TEACHER_SIDE = "mobilenet_v2", 160
"""The network that teaches, and the side to which a crop is enlarged for it, in pixels."""

TRAINING, TRAINING_SIDE, TEST = "imagenette160", 160, "imagenette224/val"
"""Folders of the photographs, and the side of those that are learned, in pixels."""

SMOOTHING = 0.1
"""Label smoothing of the cross-entropy."""

LATER_RATE = 0.2
"""Largest learning rate of the epochs after those on small images, as a share of theirs."""


class Taught(nn.Module):
    """A network with, while it learns, a second last layer for the teacher's outputs on the same features."""

    def __init__(self, network: nn.Module, n_outputs: int) -> None:
        super().__init__()
        self.network = network
        self.other_head = nn.Linear(head_of(network).in_features, n_outputs)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits (N, K) and those of the teacher's outputs (N, n_outputs)."""
        logits, features = with_features(self.network, images)
        return logits, self.other_head(features)


class Normalised(nn.Module):
    """A network on images (N, 3, H, W) in [0, 1], which it normalises as a guard does by default."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Any:
        """Return what the network gives for the normalised images."""
        return self.network(normalised(images))


def taught_loss(taught: nn.Module, teacher: Backbone, images: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the classes, plus the divergence of the second last layer from the teacher's outputs."""
    with torch.no_grad():
        large = interpolate(images, size=(TEACHER_SIDE, TEACHER_SIDE), mode="bilinear")
        wanted = log_softmax(teacher(large).logits.float(), dim=1)
    logits, found = taught(normalised(images))
    divergence = kl_div(log_softmax(found.float(), 1), wanted, reduction="batchmean", log_target=True)
    return cross_entropy(logits.float(), labels, label_smoothing=SMOOTHING) + divergence


def crops(images: DecodedImages, rows: Tensor, side: int) -> Tensor:
    """Crop photographs at random, by their indices (N,): (N, 3, side, side) in [0, 1]."""
    return random_crops(images.batch(rows.numpy()), side)


def train_taught(
    taught: Taught,
    teacher: Backbone,
    images: DecodedImages,
    side: int,
    settings: Settings,
    checkpoint: Path,
    identity: Mapping[str, Any],
) -> None:
    """Train a network in place on crops of ``side`` pixels; ``identity`` is that of the whole training."""
    labels = torch.from_numpy(images.labels)

    def loss(trained: nn.Module, rows: Tensor) -> Tensor:
        return taught_loss(trained, teacher, crops(images, rows, side), labels[rows])

    train_on_cpu(taught, len(labels), loss, settings, checkpoint, {"side": side, **identity})


def read_labelled(folder: Path, side: int, classes: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Read images (N, 3, side, side) in [0, 1] and their labels (N,), by the classes' order."""
    preprocess = Preprocess(size=(side, side), resize=side)
    paths, names = labelled_images(folder)
    images = torch.stack([preprocess(read_image(path)) for path in paths])
    return images, torch.tensor([classes.index(name) for name in names])


@torch.no_grad()
def correct(network: nn.Module, images: Tensor, labels: Tensor) -> int:
    """Return how many images (N, 3, H, W) in [0, 1] a network classifies correctly."""
    parts = zip(torch.split(images, 50), torch.split(labels, 50), strict=True)
    return sum(int((network(part).argmax(1) == truth).sum()) for part, truth in parts)


def main() -> None:
    """Train, write the weights in half precision, and record their accuracy."""
    parser = training_options(
        __doc__, output="build/weights/photographs", side=112, epochs=12, batch_size=64, rate=0.1
    )
    parser.add_argument(
        "--small-epochs", type=int, default=0, help="epochs on small images before the others"
    )
    parser.add_argument("--small-side", type=int, default=64, help="side of the small images, in pixels")
    parser.add_argument(
        "--norm-bias",
        type=float,
        default=0.0,
        help="bias with which batch norms start; 1 for a deep network without skip connections",
    )
    options = parser.parse_args()
    weights, checkpoint = files_of(options)
    small_checkpoint = weights.with_suffix(".small.checkpoint")
    start = time.perf_counter()
    half = (0.5, 0.5, 0.5)
    file = options.data / "weights" / f"{TEACHER}.safetensors"
    teacher = load_backbone(TEACHER, file, mean=half, std=half, size=TEACHER_SIDE)
    images = decode_images(options.data / TRAINING, TRAINING_SIDE, options.output / f"{TRAINING}.npy")
    network = fresh_network(options.network, len(images.classes), options.seed, options.norm_bias)
    taught = Taught(network, teacher.n_classes)
    settings = settings_of(options)
    identity = {"network": options.network, "norm_bias": options.norm_bias}
    if options.small_epochs:
        identity |= {"small_epochs": options.small_epochs, "small_side": options.small_side}
        first = replace(settings, epochs=options.small_epochs)
        train_taught(taught, teacher, images, options.small_side, first, small_checkpoint, identity)
        settings = replace(settings, rate=LATER_RATE * settings.rate)
    train_taught(taught, teacher, images, options.side, settings, checkpoint, identity)
    settle_norms(
        network, lambda rows: normalised(crops(images, rows, options.side)), len(images.rows), settings
    )
    seconds = time.perf_counter() - start
    keep(network, weights, checkpoint)
    small_checkpoint.unlink(missing_ok=True)
    test, labels = read_labelled(options.data / TEST, options.side, images.classes)
    right = correct(Normalised(network), test, labels)
    facts = {"teacher": TEACHER, "pictures": len(images.rows), "seconds": seconds, **identity}
    record_accuracy(weights, options, right, len(labels), facts)


if __name__ == "__main__":
    main()
