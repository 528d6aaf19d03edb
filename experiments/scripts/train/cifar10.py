"""Train a torchvision network on CIFAR-10: `python experiments/scripts/train/cifar10.py --network shufflenet_v2_x1_0`.

For networks whose ImageNet weights are not at hand. The architecture is torchvision's, unmodified but for ten outputs;
the pictures of 32 x 32 are enlarged to the side that is asked for. The schedule is a short one, for a processor; the
record says what accuracy it reached.
"""

from __future__ import annotations

import argparse
import io
import os
import tarfile
import time
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, pad

from record import write_record
from simdnn.cli.progress import progress_bar
from simdnn.evaluation.intervals import rate
from simdnn.networks.loading import last_layer
from simdnn.networks.weights import fit_weights, read_weights

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, which a guard takes unless told otherwise."""

SETTLING = 5_000
"""Pictures from which the batch norms take their final means and variances."""


def read_archive(archive: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Read ``train`` and ``test``: (N, 3, 32, 32) uint8 and (N,) labels, classes in sorted order."""
    pictures: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    names: dict[str, list[str]] = {"train": [], "test": []}
    with tarfile.open(archive) as tar:
        for member in tar:
            part, label, name = (["", "", *member.name.split("/")])[-3:]
            if part in pictures and name.endswith(".jpg"):
                file = tar.extractfile(member)
                assert file is not None
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
    """Return pictures (N, 3, 32, 32) uint8 enlarged and normalised."""
    enlarged = interpolate(pictures.float() / 255, size=(side, side), mode="bilinear")
    normal = (enlarged - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    return normal.to(memory_format=torch.channels_last)


def augmented(pictures: Tensor) -> Tensor:
    """Mirror half of the pictures, and move all by up to four pixels."""
    mirrored = torch.rand(len(pictures)) < 0.5
    pictures = torch.where(mirrored.view(-1, 1, 1, 1), pictures.flip(-1), pictures)
    right, down = torch.randint(0, 9, (2,)).tolist()
    return pad(pictures, (4, 4, 4, 4))[..., down : down + 32, right : right + 32]


def train(network: nn.Module, pictures: Tensor, labels: Tensor, options: argparse.Namespace) -> None:
    """Train on a one-cycle schedule, in bfloat16 where that is asked for; then settle the batch norms."""
    optimizer: torch.optim.Optimizer
    if options.adam:
        optimizer = torch.optim.AdamW(network.parameters())
    else:
        optimizer = torch.optim.SGD(network.parameters(), momentum=0.9, weight_decay=5e-4, nesterov=True)
    per_epoch = len(pictures) // options.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.rate, total_steps=options.epochs * per_epoch
    )
    with progress_bar(f"training {options.network}") as progress:
        for epoch in range(options.epochs):
            order = torch.randperm(len(pictures))[: per_epoch * options.batch_size]
            for step, batch in enumerate(torch.split(order, options.batch_size)):
                with torch.autocast("cpu", torch.bfloat16, enabled=options.bfloat16):
                    logits = network(prepared(augmented(pictures[batch]), options.side))
                    loss = cross_entropy(logits, labels[batch], label_smoothing=0.1)
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                nn.utils.clip_grad_norm_(network.parameters(), 5.0)
                optimizer.step()
                schedule.step()
                progress(epoch * per_epoch + step + 1, options.epochs * per_epoch)
                if step % 50 == 0:
                    print(f"epoch {epoch}, step {step} of {per_epoch}, loss {loss.item():.3f}", flush=True)
    # Networks such as MnasNet average over thousands of batches, more than a short schedule has.
    some = torch.split(pictures[torch.randperm(len(pictures))[:SETTLING]], options.batch_size)
    torch.optim.swa_utils.update_bn((prepared(batch, options.side) for batch in some), network)


@torch.no_grad()
def correct(network: nn.Module, pictures: Tensor, labels: Tensor, side: int) -> int:
    """Return how many pictures the network classifies rightly."""
    network.eval()
    pieces = zip(torch.split(pictures, 250), torch.split(labels, 250), strict=True)
    return sum(int((network(prepared(batch, side)).argmax(1) == truth).sum()) for batch, truth in pieces)


def main() -> None:
    """Train, write the weights in half precision, and record what they reach as written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("SIMDNN_DATA"))
    parser.add_argument("--network", required=True)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--pictures", type=int, default=50_000, help="train on so many, drawn by the seed")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--adam", action="store_true", help="AdamW in place of SGD")
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--evaluate", action="store_true", help="record what weights at hand reach")
    parser.add_argument("--output", type=Path, default=Path("build/weights/cifar10"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    parts = read_archive(options.data / "cifar10_jpeg.tar.xz")
    torch.manual_seed(options.seed)
    # Inception's own first weights do not train on a schedule as short as this; PyTorch's do.
    own = {"aux_logits": False, "init_weights": False} if options.network == "inception_v3" else {}
    network = torchvision.models.get_model(options.network, weights=None, num_classes=10, **own)
    # MnasNet draws the first weights of its last layer by the number of classes, far too large for ten.
    network.get_submodule(last_layer(network)).reset_parameters()
    network = network.to(memory_format=torch.channels_last)
    weights = options.output / f"{options.network}.safetensors"
    seconds = None
    if not options.evaluate:
        start = time.perf_counter()
        pictures, labels = parts["train"]
        some = torch.randperm(len(pictures))[: options.pictures]
        train(network, pictures[some], labels[some], options)
        seconds = time.perf_counter() - start
        half = {name: t.half() if t.is_floating_point() else t for name, t in network.state_dict().items()}
        options.output.mkdir(parents=True, exist_ok=True)
        save_file({name: t.contiguous() for name, t in half.items()}, weights)
    fit_weights(network, read_weights(weights), str(weights))
    pictures, labels = parts["test"]
    accuracy = rate(correct(network, pictures, labels, options.side), len(labels))
    settings = {k: v for k, v in vars(options).items() if k not in ("data", "output", "evaluate")}
    record = {"accuracy": accuracy._asdict(), "n": len(labels), "seconds": seconds} | settings
    write_record(f"train_cifar10_{options.network}", record)
    Console().print(f"{options.network}: {accuracy.value:.1%} of {len(labels)} right; wrote {weights}")


if __name__ == "__main__":
    main()
