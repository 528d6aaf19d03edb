"""Train ResUpNet's denoiser: `python -m simdnn.training.resupnet`.

Its authors published neither loss nor data. Here it first learns to give clean photographs back, and then to do so from
photographs attacked by FGSM and PGD on MobileNetV2, at other strengths than tables report. The loss is the mean
absolute error of the luminance, plus an error of the classifier's features, since what the classifier sees is what
counts. A step decodes a part of each photograph only, so that the time suffices for more of them. The photographs of
``imagenette160`` belong to no guard and no test. The record beside the weights has the result.
"""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from simdnn.attacks import FGSM, PGD, run_attack
from simdnn.evaluation.class_outputs import class_outputs
from simdnn.evaluation.defences.defended import DENOISER
from simdnn.evaluation.defences.resupnet import (
    SIDE,
    Denoiser,
    ResUpNet,
    encoder_weights,
    load_denoiser,
    to_rgb,
    to_ycbcr,
)
from simdnn.evaluation.intervals import rate
from simdnn.evaluation.records import cell_key
from simdnn.networks.backbone import Backbone, load_backbone
from simdnn.networks.classifier import Classifier
from simdnn.networks.spec import PENULTIMATE
from simdnn.networks.weights import fit_weights, hash_weights, read_weights
from simdnn.training.data import DecodedImages, decode_images
from simdnn.training.loop import Settings
from simdnn.training.photographs import TEST, TRAINING, TRAINING_SIDE, correct, read_labelled
from simdnn.training.program import train_on_cpu
from simdnn.training.record import write_record, write_weights

ATTACKS: list[FGSM | PGD] = [
    *(FGSM(eps) for eps in (0.008, 0.015, 0.03)),
    *(PGD(eps, steps=5, step_size=eps / 3) for eps in (0.008, 0.015, 0.03)),
]
"""Attacks on the training images, at other strengths than tables report."""

CLEAN = 1 / 3
"""Share of clean photographs among the attacked ones."""

FEATURES = 0.1
"""Weight of the error of the classifier's features, relative to that of the luminance."""

PARTS, PART = 7, 3
"""Units of 32 pixels along a side of a photograph, and of the part of it that a step decodes."""

SUBJECTS = Path("experiments/plans/shared/networks.toml")
"""File with the network's output for each class, relative to the root of the repository."""


def large(images: DecodedImages, rows: NDArray[np.int64]) -> Tensor:
    """Return photographs (n, 3, 224, 224) in [0, 1], by their indices (n,)."""
    return interpolate(images.batch(rows).float() / 255, size=(SIDE, SIDE), mode="bilinear")


def attacked_images(
    network: nn.Module, images: DecodedImages, rows: NDArray[np.int64], folder: Path, seed: int
) -> NDArray[np.uint8]:
    """Attack photographs, each by one of `ATTACKS` in turn, once: (n, 3, 224, 224), as 8-bit values.

    They are kept in the folder, under a name that photographs, network, attacks and seed decide.
    """
    facts = {"images": images.hashes[rows].tolist(), "network": hash_weights(network), "seed": seed}
    file = folder / f"attacked-{cell_key(facts | {'attacks': [repr(attack) for attack in ATTACKS]})}.npy"
    if not file.exists():
        attacked, done = np.empty((len(rows), 3, SIDE, SIDE), dtype=np.uint8), 0
        for number, attack in enumerate(ATTACKS):
            part = np.arange(number, len(rows), len(ATTACKS))
            clean, truth = large(images, rows[part]), torch.from_numpy(images.labels[rows[part]])
            result = run_attack(attack, network, clean, truth, seed=seed, batch_size=16)
            attacked[part] = (result.images_8bit * 255).round().byte().numpy()
            done += len(part)
            print(f"attacked {done} of {len(rows)}", flush=True)
        unfinished = file.with_suffix(".part.npy")
        np.save(unfinished, attacked)
        unfinished.rename(file)
    found: NDArray[np.uint8] = np.load(file, mmap_mode="r")
    return found


def restoration_loss(denoiser: Denoiser, backbone: Backbone, shown: Tensor, clean: Tensor) -> Tensor:
    """Mean absolute error of the luminance, plus the relative squared error of the classifier's features.

    Both are those of one part of the photographs, drawn anew for each batch.

    Parameters
    ----------
    denoiser, backbone
        The network that is trained, and the classifier.
    shown, clean
        What the denoiser sees, and what it should give back: (N, 3, 224, 224) in [0, 1].
    """
    top, left = torch.randint(PARTS - PART + 1, (2,)).tolist()

    def part(maps: Tensor) -> Tensor:
        unit = maps.shape[-1] // PARTS
        return maps[..., top * unit : (top + PART) * unit, left * unit : (left + PART) * unit]

    maps, skips = denoiser.encoded(shown, torch.rand(len(shown), 1, SIDE, SIDE))
    luminance = denoiser.decoded(part(maps), [part(skip) for skip in skips]).float()
    clean, shown = part(clean), part(shown)
    # Colours in bfloat16 would be wrong by as much as an attack, and depthwise convolutions are slow in it.
    with torch.autocast(shown.device.type, enabled=False):
        error = (luminance - to_ycbcr(clean)[:, :1]).abs().mean()
        restored = to_rgb(torch.cat([luminance, to_ycbcr(shown)[:, 1:]], dim=1)).clamp(0, 1)
        with torch.no_grad():
            wanted = backbone(clean).features[PENULTIMATE]
        found = backbone(restored).features[PENULTIMATE]
    relative = (found - wanted).square().mean() / wanted.square().mean()
    loss: Tensor = error + FEATURES * relative
    return loss


def train_denoiser(
    denoiser: Denoiser,
    backbone: Backbone,
    images: DecodedImages,
    rows: NDArray[np.int64],
    attacked: NDArray[np.uint8] | None,
    settings: Settings,
    checkpoint: Path,
) -> None:
    """Train on photographs, half of them mirrored: on clean ones alone, or on attacked ones with a third clean."""

    def loss(trained: nn.Module, chosen: Tensor) -> Tensor:
        clean = shown = large(images, rows[chosen.numpy()])
        if attacked is not None:
            pixels = torch.from_numpy(attacked[chosen.numpy()]).float() / 255
            shown = torch.where(torch.rand(len(chosen), 1, 1, 1) < CLEAN, clean, pixels)
        if torch.rand(()) < 0.5:
            clean, shown = clean.flip(-1), shown.flip(-1)
        assert isinstance(trained, Denoiser)
        return restoration_loss(trained, backbone, shown, clean)

    denoiser.to(memory_format=torch.channels_last)  # 1.1 times as fast on a CPU
    train_on_cpu(denoiser, len(rows), loss, settings, checkpoint, {"attacked": attacked is not None})


def accuracies(
    network: Classifier, denoiser: Denoiser, folder: Path, classes: tuple[str, ...]
) -> Mapping[str, object]:
    """Return the network's accuracy alone and behind the denoiser, on a folder's photographs and attacked ones."""
    clean, truth = read_labelled(folder, SIDE, classes)
    attack = PGD(0.02, steps=10, step_size=0.005)
    attacked = run_attack(attack, network, clean, truth, seed=0, batch_size=16).images_8bit
    defended = ResUpNet(network, denoiser)
    return {
        f"{name}, {how}": rate(correct(model, x, truth), len(truth))._asdict()
        for name, x in (("clean", clean), (f"PGD {attack.eps}", attacked))
        for how, model in (("alone", network), ("behind ResUpNet", defended))
    }


def main() -> None:
    """Train, and record the network's accuracy alone and behind the denoiser."""
    parser = argparse.ArgumentParser(description=__doc__)
    data = os.environ.get("SIMDNN_DATA")
    parser.add_argument("--data", type=Path, default=data, required=data is None)
    parser.add_argument("--subjects", type=Path, default=SUBJECTS)
    parser.add_argument("--clean-epochs", type=int, default=2, help="passes over clean photographs")
    parser.add_argument("--epochs", type=int, default=2, help="passes over attacked photographs")
    parser.add_argument("--attacked", type=int, default=2000, help="photographs that are attacked")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("build/weights") / DENOISER)
    options = parser.parse_args()
    folder: Path = options.output.parent
    folder.mkdir(parents=True, exist_ok=True)
    images = decode_images(options.data / TRAINING, TRAINING_SIDE, folder / f"{TRAINING}.npy")
    rows = np.random.default_rng(options.seed).permutation(len(images.rows))
    subjects = tomllib.loads(options.subjects.read_text(encoding="utf-8"))
    outputs = [subjects["datasets"]["imagenette224"]["outputs"][label] for label in images.classes]
    half, weights = (0.5, 0.5, 0.5), options.data / "weights"
    kept = class_outputs("mobilenet_v2", weights / "mobilenet_v2.safetensors", outputs, folder)
    backbone = load_backbone("mobilenet_v2", kept, mean=half, std=half)
    network = Classifier(backbone)
    chosen = rows[: options.attacked]
    attacked = attacked_images(network, images, chosen, folder, options.seed)
    torch.manual_seed(options.seed)
    denoiser = Denoiser()
    encoder = encoder_weights(read_weights(weights / "resnet18.safetensors"))
    fit_weights(denoiser.encoder, encoder, "the encoder")
    first = Settings(
        options.clean_epochs, options.batch_size, options.rate, "adamw", 1e-4, clip=1.0, seed=options.seed
    )
    second = replace(first, epochs=options.epochs, rate=options.rate / 2)
    checkpoints = [options.output.with_suffix(suffix) for suffix in (".first.checkpoint", ".checkpoint")]
    train_denoiser(denoiser, backbone, images, rows, None, first, checkpoints[0])
    train_denoiser(denoiser, backbone, images, chosen, attacked, second, checkpoints[1])
    write_weights(denoiser, options.output)
    for file in checkpoints:
        file.unlink()
    found = accuracies(network, load_denoiser(options.output), options.data / TEST, images.classes)
    facts = {"photographs": len(rows), "attacked": len(chosen), "features_weight": FEATURES}
    record = write_record(
        options.output, {"accuracy": found} | facts | {"first": asdict(first), "second": asdict(second)}
    )
    print(f"wrote {options.output} and {record}: {found}")


if __name__ == "__main__":
    main()
