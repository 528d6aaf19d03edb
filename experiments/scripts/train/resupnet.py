"""Train ResUpNet's denoiser: `python experiments/scripts/train/resupnet.py --minutes 20`.

Its authors published neither loss nor data. Ours: training photographs attacked by FGSM and PGD on MobileNetV2, at
other strengths than are reported, and clean ones, each with its clean original; the loss is the mean absolute error
of the luminance. The schedule is as long as the time that is given, and the weights are written every minute: on a
processor that is far fewer steps than a decoder trained from nothing could use, and the record says what it reached.
The number of steps, and so the weights, depend on the machine's speed.
"""

from __future__ import annotations

import argparse
import os
import time
import tomllib
from pathlib import Path

import torch
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor

from record import write_record
from simdnn.attacks import FGSM, PGD, Attack, predict, round_to_levels, run_attack
from simdnn.cli.progress import progress_bar
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

RECIPES: list[Attack] = [
    *(FGSM(eps) for eps in (0.008, 0.015, 0.03)),
    *(PGD(eps, steps=5, step_size=eps / 3) for eps in (0.008, 0.015, 0.03)),
]
"""None of them at a strength that tables report."""

SUBJECTS = Path(__file__).parents[2] / "plans" / "shared" / "networks.toml"
"""Says which of the network's outputs each class is."""


def save(denoiser: Denoiser, path: Path) -> None:
    """Write the weights in half precision."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = {name: t.half() if t.is_floating_point() else t for name, t in denoiser.state_dict().items()}
    save_file({name: t.contiguous() for name, t in half.items()}, path)


def main() -> None:
    """Train, and record what the network makes of photographs that the denoiser did not see."""
    parser = argparse.ArgumentParser(description=__doc__)
    known = os.environ.get("SIMDNN_DATA")
    parser.add_argument("--data", type=Path, default=known, required=known is None)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--photographs", type=int, default=400)
    parser.add_argument("--held-out", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--output", type=Path, default=Path("build/weights") / DENOISER)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    half = (0.5, 0.5, 0.5)
    weights = options.data / "weights"
    backbone = load_backbone("mobilenet_v2", weights / "mobilenet_v2.safetensors", mean=half, std=half)
    network = Classifier(backbone)
    paths, labels = labelled_images(options.data / "imagenette224" / "train")
    outputs = tomllib.loads(SUBJECTS.read_text(encoding="utf-8"))["datasets"]["imagenette224"]["outputs"]
    chosen = torch.randperm(len(paths))[: options.photographs + options.held_out].tolist()
    clean = torch.stack([backbone.spec.preprocess(read_image(paths[i])) for i in chosen])
    truth = torch.tensor([outputs[labels[i]] for i in chosen])
    attacked = clean.clone()
    with progress_bar("attacking") as progress:
        for number, recipe in enumerate(RECIPES):
            rows = torch.arange(number, len(clean), len(RECIPES))
            result = run_attack(recipe, network, clean[rows], truth[rows], seed=options.seed, batch_size=16)
            attacked[rows] = round_to_levels(result.images)
            progress(number + 1, len(RECIPES))
    denoiser = Denoiser()
    fit_weights(
        denoiser.encoder, encoder_weights(read_weights(weights / "resnet18.safetensors")), "the encoder"
    )
    losses = train(denoiser, clean[: options.photographs], attacked[: options.photographs], options)
    save(denoiser, options.output)
    defended, n = ResUpNet(network, load_denoiser(options.output)), options.held_out
    seen = {"clean": clean[-n:], "attacked": attacked[-n:]}
    error = {
        name: {"bare": gap(x, clean[-n:]), "denoised": gap(denoised(defended, x), clean[-n:])}
        for name, x in seen.items()
    }
    accuracy = {
        f"{name}, {how}": rate(int((predict(model, x, 8) == truth[-n:]).sum()), n)._asdict()
        for name, x in seen.items()
        for how, model in (("bare", network), ("denoised", defended))
    }
    settings = {k: v for k, v in vars(options).items() if k not in ("data", "output")}
    reached = {"steps": len(losses), "loss_last_50": sum(losses[-50:]) / len(losses[-50:])}
    write_record(
        "train_resupnet", {**reached, "n": n, "luminance_error": error, "accuracy": accuracy, **settings}
    )
    told = ", ".join(f"{name} {value['value']:.1%}" for name, value in accuracy.items())
    Console().print(f"wrote {options.output} after {len(losses)} steps; right of {n}: {told}")


@torch.no_grad()
def denoised(defended: ResUpNet, images: Tensor) -> Tensor:
    """Denoise images (N, 3, 224, 224) a few at a time."""
    return torch.cat([defended.denoised(batch) for batch in torch.split(images, 8)])


def gap(images: Tensor, clean: Tensor) -> float:
    """Return the mean absolute difference in luminance."""
    return float((to_ycbcr(images) - to_ycbcr(clean))[:, 0].abs().mean())


def train(denoiser: Denoiser, clean: Tensor, attacked: Tensor, options: argparse.Namespace) -> list[float]:
    """Train until the time is over; a third of the pictures are clean ones. Returns the losses."""
    trained = [p for p in denoiser.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=options.rate, weight_decay=1e-4)
    target = to_ycbcr(clean)[:, :1]
    losses: list[float] = []
    start = saved = time.perf_counter()
    limit = 60 * options.minutes
    denoiser.to(memory_format=torch.channels_last).train()  # 1.1 times as quick on a CPU
    with progress_bar("training (seconds)") as progress:
        while (gone := time.perf_counter() - start) < limit:
            optimizer.param_groups[0]["lr"] = options.rate * min(
                1.0, (len(losses) + 1) / 20, 1.05 - gone / limit
            )
            rows = torch.randint(len(clean), (options.batch_size,))
            pictures = torch.where(torch.rand(len(rows), 1, 1, 1) < 1 / 3, clean[rows], attacked[rows])
            with torch.autocast("cpu", torch.bfloat16, enabled=options.bfloat16):
                found = denoiser(pictures, torch.rand(len(rows), 1, SIDE, SIDE))
            loss = (found.float() - target[rows]).abs().mean()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            losses.append(float(loss.detach()))
            progress(int(gone), int(limit))
            if time.perf_counter() - saved > 60:
                save(denoiser, options.output)
                saved = time.perf_counter()
                print(f"step {len(losses)}, loss {sum(losses[-20:]) / 20:.4f}", flush=True)
    return losses


if __name__ == "__main__":
    main()
