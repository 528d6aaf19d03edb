"""Train a network on BaRT's transforms: `python -m simdnn.training.bart --network shufflenet_v2_x1_0`.

As BaRT's paper does, for a few epochs, with a network that knows the photographs already: one of
:mod:`simdnn.training.photographs`. The record beside the new weights has the accuracy on ``imagenette224/val``, on
photographs as they are and on transformed ones.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from simdnn.evaluation.defences.bart import BaRT
from simdnn.evaluation.intervals import rate
from simdnn.networks.loading import torchvision_network
from simdnn.training.data import DecodedImages, decode_images
from simdnn.training.fresh import normalised, settle_norms
from simdnn.training.loop import Settings
from simdnn.training.photographs import (
    TEST,
    TRAINING,
    TRAINING_SIDE,
    Normalised,
    correct,
    crops,
    read_labelled,
)
from simdnn.training.program import (
    files_of,
    keep,
    record_accuracy,
    settings_of,
    train_on_cpu,
    training_options,
)


def train_on_transforms(
    network: nn.Module, images: DecodedImages, side: int, settings: Settings, checkpoint: Path
) -> nn.Module:
    """Train a network on random crops of ``side`` pixels, each changed by five random transforms."""
    labels = torch.from_numpy(images.labels)
    barrage = BaRT(nn.Identity(), seed=0)

    def changed(rows: Tensor) -> Tensor:
        barrage.reseed(int(torch.randint(2**31, (1,))))  # a resumed training draws the same transforms
        return normalised(barrage.transformed(crops(images, rows, side)))

    def loss(trained: nn.Module, rows: Tensor) -> Tensor:
        return cross_entropy(trained(changed(rows)).float(), labels[rows])

    trained = train_on_cpu(network, len(labels), loss, settings, checkpoint, {"side": side})
    return settle_norms(trained, changed, len(labels), settings)


def main() -> None:
    """Train, write the weights in half precision, and record their accuracy."""
    parser = training_options(
        __doc__, output="build/weights/bart", side=112, epochs=3, batch_size=64, rate=0.02
    )
    parser.add_argument("--weights", type=Path, default=Path("build/weights/photographs"))
    options = parser.parse_args()
    weights, checkpoint = files_of(options)
    start = time.perf_counter()
    network = torchvision_network(options.network, options.weights / weights.name)
    images = decode_images(options.data / TRAINING, TRAINING_SIDE, options.weights / f"{TRAINING}.npy")
    network = train_on_transforms(network, images, options.side, settings_of(options), checkpoint)
    seconds = time.perf_counter() - start
    keep(network, weights, checkpoint)
    test, labels = read_labelled(options.data / TEST, options.side, images.classes)
    behind = rate(correct(BaRT(Normalised(network), options.seed), test, labels), len(labels))
    facts = {"pictures": len(images.rows), "seconds": seconds, "accuracy_behind_bart": behind._asdict()}
    record_accuracy(weights, options, correct(Normalised(network), test, labels), len(labels), facts)


if __name__ == "__main__":
    main()
