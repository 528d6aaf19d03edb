"""Train a network that small perturbations cannot move: `robust.py --data photos/train`.

Adversarial training (Madry et al., ICLR 2018) with few steps: each batch is attacked by PGD, from a random start, on
the network as it is, and learned in place of the clean images. The network starts from ImageNet weights and sees the
images at a smaller side than the network that it stands beside. It learns only the images that `simdnn fit` with the
same seed learns prototypes from, so that the guard's threshold is calibrated on images that it has not seen.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torchvision
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, mse_loss

from record import write_record
from simdnn.cli.progress import progress_bar
from simdnn.evaluation.intervals import rate
from simdnn.guard.fitting import calibrating
from simdnn.images.files import labelled_images
from simdnn.images.preprocess import Preprocess
from simdnn.images.reading import read_image
from simdnn.networks.weights import fit_weights, hash_weights, read_weights

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MARGIN = 16
"""Pixels that a training image is larger than the network's side: where it is cut is drawn for each batch."""


def split(options: argparse.Namespace) -> dict[str, tuple[list[Path], Tensor]]:
    """Return the files and labels of ``learned`` and ``held``; labels are places among the sorted classes."""
    paths, labels = labelled_images(options.data)
    left_out = set(labelled_images(options.without)[0]) if options.without else set()
    free = np.array([i for i, path in enumerate(paths) if path not in left_out])
    if options.images:
        free = np.sort(np.random.default_rng(options.seed).permutation(free)[: options.images])
    names = np.array(labels)[free]
    out, targets = calibrating(names, 0.2, options.seed), np.unique(names, return_inverse=True)[1]
    return {
        part: ([paths[i] for i in free[rows]], torch.from_numpy(targets[rows]))
        for part, rows in (("learned", ~out), ("held", out))
    }


def read(paths: list[Path], side: int) -> Tensor:
    """Read images: (N, 3, side, side) uint8."""
    preprocess = Preprocess(size=(side, side), resize=side)
    pixels = []
    with progress_bar(f"reading at {side} pixels") as progress:
        for i, path in enumerate(paths):
            pixels.append((preprocess(read_image(path)) * 255).round().byte())
            progress(i + 1, len(paths))
    return torch.stack(pixels)


class Normalised(nn.Module):
    """A ResNet on images in [0, 1]."""

    def __init__(self, network: torchvision.models.ResNet) -> None:
        super().__init__()
        self.network = network

    def features(self, images: Tensor) -> Tensor:
        """Return what goes into the last layer, (N, d), for images (N, 3, H, W) in [0, 1]."""
        out = (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
        out = out.to(memory_format=torch.channels_last)
        for part in list(self.network.children())[:-1]:
            out = part(out)
        return out.flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, K) of images (N, 3, H, W) in [0, 1]."""
        logits: Tensor = self.network.fc(self.features(images))
        return logits


def attacked(
    network: nn.Module, images: Tensor, labels: Tensor, eps: float, steps: int, bfloat16: bool
) -> Tensor:
    """Return images attacked by PGD from a random start, steps of 1.25 eps / sqrt(steps)."""
    change = torch.empty_like(images).uniform_(-eps, eps)
    for _ in range(steps):
        change.requires_grad_(True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = cross_entropy(network((images + change).clamp(0, 1)), labels)
        (slope,) = torch.autograd.grad(loss, change)
        change = (change.detach() + 1.25 * eps / steps**0.5 * slope.sign()).clamp(-eps, eps)
    return (images + change).clamp(0, 1)


def augmented(images: Tensor, side: int) -> Tensor:
    """Mirror half of the images, and cut a part of each, of a third of its area or more, as floats in [0, 1]."""
    n = len(images)
    size = torch.rand(n, 2) * 0.4 + 0.6  # of the part, of the whole; width and height
    centre = (torch.rand(n, 2) * 2 - 1) * (1 - size)
    size[:, 0] *= torch.where(torch.rand(n) < 0.5, -1, 1)
    where = torch.zeros(n, 2, 3)
    where[:, 0, 0], where[:, 1, 1], where[:, :, 2] = size[:, 0], size[:, 1], centre
    grid = affine_grid(where, [n, 3, side, side], align_corners=False)
    return grid_sample(images.float() / 255, grid, padding_mode="reflection", align_corners=False).clamp(0, 1)


def load(name: str, weights: Path) -> torchvision.models.ResNet:
    """Return a ResNet with the weights of a file and as many outputs as these have."""
    state = read_weights(weights)
    network = torchvision.models.get_model(name, weights=None, num_classes=len(state["fc.bias"]))
    fit_weights(network, state, str(weights))
    assert isinstance(network, torchvision.models.ResNet)
    return network


@torch.no_grad()
def whole(teacher: torchvision.models.ResNet, images: Tensor) -> Tensor:
    """Return what a network's last layer gets of whole images (N, 3, H, W) uint8 and of their mirror images: (N, d)."""
    network = Normalised(teacher).eval()
    both = (
        network.features(part.float() / 255) + network.features(part.flip(-1).float() / 255)
        for part in torch.split(images, 50)
    )
    return torch.cat(list(both)) / 2


@torch.no_grad()
def unfold_norms(network: nn.Module, images: Tensor) -> None:
    """Give batch norms that were folded into the convolutions their statistics back; the function stays the same."""
    network.eval()
    inputs: dict[nn.Module, Tensor] = {}
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [m.register_forward_hook(lambda m, given, _: inputs.__setitem__(m, given[0])) for m in norms]
    network(images)
    for hook in hooks:
        hook.remove()
    for norm in norms:
        assert norm.running_mean is not None and norm.running_var is not None  # noqa: PT018
        slope = norm.weight / (norm.running_var + norm.eps).sqrt()
        offset = norm.bias - slope * norm.running_mean
        variance, mean = torch.var_mean(inputs[norm], dim=(0, 2, 3))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_(slope * (variance + norm.eps).sqrt())
        norm.bias.copy_(offset + slope * mean)


def write(state: dict[str, Tensor], weights: Path) -> None:
    """Write the weights of a :class:`Normalised` network in half precision."""
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    save_file({name.removeprefix("network."): value.contiguous() for name, value in half.items()}, weights)


def train(
    network: Normalised,
    images: Tensor,
    labels: Tensor,
    wanted: Tensor,
    weights: Path,
    options: argparse.Namespace,
) -> None:
    """Train on attacked images, on a one-cycle schedule; write the running mean of the weights after each epoch.

    The features of an attacked part of an image are also drawn to those ``wanted`` (N, d) of the whole clean one, which
    keeps it from learning its few images by heart (after Schlarmann and others, Robust CLIP, ICML 2024).
    """
    optimizer = torch.optim.SGD(network.parameters(), momentum=0.9, weight_decay=options.decay, nesterov=True)
    per_epoch = len(images) // options.batch_size
    total = options.epochs * per_epoch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.rate, total_steps=total)
    mean = {name: value.clone() for name, value in network.state_dict().items()}
    with progress_bar(f"training {options.network}") as progress:
        for epoch in range(options.epochs):
            order = torch.randperm(len(images))[: per_epoch * options.batch_size]
            for step, batch in enumerate(torch.split(order, options.batch_size)):
                clean = augmented(images[batch], options.side)
                network.eval()  # the attack leaves the batch norms alone
                done = epoch * per_epoch + step
                eps = options.eps * min(1.0, done / (options.warm_up * per_epoch))
                moved = attacked(network, clean, labels[batch], eps, options.steps, options.bfloat16)
                network.train()
                with torch.autocast("cpu", torch.bfloat16, enabled=options.bfloat16):
                    features = network.features(moved)
                    loss = cross_entropy(network.network.fc(features), labels[batch], label_smoothing=0.1)
                loss = loss + options.keep * mse_loss(features.float(), wanted[batch]) / wanted.var()
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                nn.utils.clip_grad_norm_(network.parameters(), 5.0)
                optimizer.step()
                schedule.step()
                for name, value in network.state_dict().items():
                    mean[name] = torch.lerp(mean[name], value, 0.01) if value.is_floating_point() else value
                progress(done + 1, total)
                if step % 20 == 0:
                    print(f"epoch {epoch}, step {step} of {per_epoch}, loss {loss.item():.3f}", flush=True)
            write(mean, weights)


def accuracies(network: nn.Module, images: Tensor, labels: Tensor) -> dict[str, object]:
    """Return how often the network is right on clean images and under PGD with 10 steps at 0.01 and 8/255."""
    network.eval()
    clean = images.float() / 255
    found: dict[str, object] = {}
    for name, eps in (("clean", 0.0), ("pgd 0.01", 0.01), ("pgd 8/255", 8 / 255)):
        right = 0
        for batch, truth in zip(torch.split(clean, 50), torch.split(labels, 50), strict=True):
            moved = attacked(network, batch, truth, eps, 10, bfloat16=False) if eps else batch
            with torch.no_grad():
                right += int((network(moved).argmax(1) == truth).sum())
        found[name] = rate(right, len(labels))._asdict()
        print(name, found[name], flush=True)
    return found


def main() -> None:
    """Train, and record what the weights reach as written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with a subfolder per class, or a CSV file"
    )
    parser.add_argument(
        "--without", type=Path, help="folder or CSV file of images that are not to be learned"
    )
    parser.add_argument("--images", type=int, default=0, help="draw so many; 0 takes all")
    parser.add_argument(
        "--name", help="of the data, in the name of the files; default: the folder above --data"
    )
    parser.add_argument(
        "--teacher", type=Path, required=True, help="ImageNet weights, whose features are wanted"
    )
    parser.add_argument("--teacher-side", type=int, default=224)
    parser.add_argument("--start", type=Path, help="weights to start from, if not the teacher's")
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--eps", type=float, default=8 / 255)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--warm-up", type=int, default=4, help="epochs in which eps grows")
    parser.add_argument("--batch-size", type=int, default=48)
    parser.add_argument("--rate", type=float, default=0.02)
    parser.add_argument("--decay", type=float, default=5e-4)
    parser.add_argument("--keep", type=float, default=1.0, help="weight of the first network's features")
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--output", type=Path, default=Path("build/weights/robust"))
    options = parser.parse_args()
    options.name = options.name or options.data.parent.name
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    parts = split(options)
    (files, labels), (held, truth) = parts["learned"], parts["held"]
    images = read(files, options.side + MARGIN)
    wanted = whole(load(options.network, options.teacher), read(files, options.teacher_side))
    plain = load(options.network, options.start or options.teacher)
    started, classes = hash_weights(plain), int(labels.max()) + 1
    if plain.fc.out_features != classes:
        plain.fc = nn.Linear(plain.fc.in_features, classes)
    network = Normalised(plain.to(memory_format=torch.channels_last))
    unfold_norms(network, augmented(images[torch.randperm(len(images))[:500]], options.side))
    weights = options.output / f"{options.network}-{options.name}.safetensors"
    options.output.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    train(network, images, labels, wanted, weights, options)
    seconds = time.perf_counter() - start
    fit_weights(plain, read_weights(weights), str(weights))
    found = accuracies(network, read(held, options.side), truth)
    settings = {
        k: str(v) if isinstance(v, Path) else v
        for k, v in vars(options).items()
        if k not in ("data", "name", "without", "teacher", "start", "output")
    }
    record = {
        "accuracy": found,
        "learned": len(labels),
        "n": len(truth),
        "seconds": seconds,
        "data": options.name,
        "start_sha256": started,
        "weights_sha256": hash_weights(plain),
    } | settings
    write_record(f"train_robust_{options.name}", record)
    Console().print(f"wrote {weights}")


if __name__ == "__main__":
    main()
