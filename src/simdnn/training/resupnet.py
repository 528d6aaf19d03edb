"""Train ResUpNet's denoiser: `python -m simdnn.training.resupnet`.

Its authors published neither loss nor data. Here the data are training photographs, clean and attacked by FGSM and PGD
on MobileNetV2, at other strengths than tables report; the loss is the mean absolute error of the luminance against the
clean original. The schedule is short, for training on a CPU: a decoder trained from scratch would need many more steps.
The record beside the weights has the result.
"""

from __future__ import annotations

import argparse
import os
import tomllib
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from simdnn.attacks import FGSM, PGD, predict, run_attack
from simdnn.evaluation.defences.defended import DENOISER
from simdnn.evaluation.defences.resupnet import (
    SIDE,
    Denoiser,
    ResUpNet,
    encoder_weights,
    load_denoiser,
    to_ycbcr,
)
from simdnn.evaluation.intervals import rate
from simdnn.images.files import labelled_images
from simdnn.images.reading import read_image
from simdnn.networks.backbone import load_backbone
from simdnn.networks.classifier import Classifier
from simdnn.networks.weights import fit_weights, read_weights
from simdnn.training.fresh import print_epoch
from simdnn.training.loop import Settings, train
from simdnn.training.record import write_record, write_weights

ATTACKS: list[FGSM | PGD] = [
    *(FGSM(eps) for eps in (0.008, 0.015, 0.03)),
    *(PGD(eps, steps=5, step_size=eps / 3) for eps in (0.008, 0.015, 0.03)),
]
"""Attacks on the training images, at other strengths than tables report."""

SUBJECTS = Path("experiments/plans/shared/networks.toml")
"""File with the network's output for each class, relative to the root of the repository."""


def attacked_images(network: nn.Module, clean: Tensor, truth: Tensor, seed: int) -> Tensor:
    """Attack images (N, 3, H, W) in [0, 1], each by one of `ATTACKS` in turn, and round them to 8 bits."""
    attacked = clean.clone()
    for number, attack in enumerate(ATTACKS):
        rows = torch.arange(number, len(clean), len(ATTACKS))
        result = run_attack(attack, network, clean[rows], truth[rows], seed=seed, batch_size=16)
        attacked[rows] = result.images_8bit
    return attacked


def train_denoiser(
    denoiser: Denoiser, clean: Tensor, attacked: Tensor, settings: Settings, checkpoint: Path
) -> None:
    """Train on photographs (N, 3, 224, 224), a third of them clean ones."""
    target = to_ycbcr(clean)[:, :1]

    def loss(trained: nn.Module, rows: Tensor) -> Tensor:
        pictures = torch.where(torch.rand(len(rows), 1, 1, 1) < 1 / 3, clean[rows], attacked[rows])
        luminance: Tensor = trained(pictures, torch.rand(len(rows), 1, SIDE, SIDE))
        return (luminance.float() - target[rows]).abs().mean()

    train(
        denoiser.to(memory_format=torch.channels_last),  # 1.1 times as fast on a CPU
        len(clean),
        loss,
        settings,
        device=torch.device("cpu"),
        checkpoint=checkpoint,
        identity={"n": len(clean)} | asdict(settings),
        on_epoch=print_epoch,
    )


@torch.no_grad()
def denoised(defended: ResUpNet, images: Tensor) -> Tensor:
    """Denoise images (N, 3, 224, 224) in batches."""
    return torch.cat([defended.denoised(batch) for batch in torch.split(images, 8)])


def gap(images: Tensor, clean: Tensor) -> float:
    """Return the mean absolute difference in luminance of images (N, 3, H, W)."""
    return float((to_ycbcr(images) - to_ycbcr(clean))[:, 0].abs().mean())


def main() -> None:
    """Train, and record the network's accuracy and the error of the luminance on held-out photographs."""
    parser = argparse.ArgumentParser(description=__doc__)
    data = os.environ.get("SIMDNN_DATA")
    parser.add_argument("--data", type=Path, default=data, required=data is None)
    parser.add_argument("--subjects", type=Path, default=SUBJECTS)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--photographs", type=int, default=400)
    parser.add_argument("--held-out", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("build/weights") / DENOISER)
    options = parser.parse_args()
    settings = Settings(
        options.epochs, options.batch_size, options.rate, "adamw", 1e-4, clip=1.0, seed=options.seed
    )
    torch.manual_seed(options.seed)
    half, weights = (0.5, 0.5, 0.5), options.data / "weights"
    backbone = load_backbone("mobilenet_v2", weights / "mobilenet_v2.safetensors", mean=half, std=half)
    network = Classifier(backbone)
    paths, labels = labelled_images(options.data / "imagenette224" / "train")
    outputs = tomllib.loads(options.subjects.read_text(encoding="utf-8"))["datasets"]["imagenette224"][
        "outputs"
    ]
    n = options.held_out
    chosen = torch.randperm(len(paths))[: options.photographs + n].tolist()
    clean = torch.stack([backbone.spec.preprocess(read_image(paths[i])) for i in chosen])
    truth = torch.tensor([outputs[labels[i]] for i in chosen])
    attacked = attacked_images(network, clean, truth, options.seed)
    denoiser = Denoiser()
    encoder = encoder_weights(read_weights(weights / "resnet18.safetensors"))
    fit_weights(denoiser.encoder, encoder, "the encoder")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = options.output.with_suffix(".checkpoint")
    train_denoiser(denoiser, clean[:-n], attacked[:-n], settings, checkpoint)
    write_weights(denoiser, options.output)
    checkpoint.unlink()
    defended = ResUpNet(network, load_denoiser(options.output))
    held_out = {"clean": clean[-n:], "attacked": attacked[-n:]}
    error = {
        name: {"bare": gap(x, clean[-n:]), "denoised": gap(denoised(defended, x), clean[-n:])}
        for name, x in held_out.items()
    }
    accuracy = {
        f"{name}, {how}": rate(int((predict(model, x, 8) == truth[-n:]).sum()), n)._asdict()
        for name, x in held_out.items()
        for how, model in (("bare", network), ("denoised", defended))
    }
    result = {"n": n, "luminance_error": error, "accuracy": accuracy, "photographs": len(clean) - n}
    record = write_record(options.output, result | asdict(settings))
    shares = ", ".join(f"{name} {value['value']:.1%}" for name, value in accuracy.items())
    print(f"wrote {options.output} and {record}; correct of {n}: {shares}")


if __name__ == "__main__":
    main()
