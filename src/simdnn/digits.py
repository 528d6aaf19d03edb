"""Write scikit-learn's scanned digits as image files, and train a small network on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from simdnn.images.files import labelled_images
from simdnn.images.preprocess import Preprocess
from simdnn.images.reading import read_image
from simdnn.networks.digits import SIDE, DigitsNet, digits_network
from simdnn.progress import Progress

IN_UNITS = Preprocess(size=(SIDE, SIDE), resize=None, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
"""The network's preprocessing: pixels in [0, 1] without normalisation."""


def write_digits(folder: Path, *, seed: int = 0) -> None:
    """Write the 1,797 digits as ``<part>/<digit>/<number>.png``, in three parts of 599, stratified.

    The network is trained on ``network``, and the guard is fitted on ``train``: a threshold must not be calibrated on
    images that the network was trained on, since these score higher than other clean images. Neither uses ``test``.
    The scans of 8 x 8 pixels with 17 grey levels are enlarged to 32 x 32 pixels with 8 bits. A digit's number is its
    index in scikit-learn's data.
    """
    digits = load_digits()
    indices = np.arange(len(digits.target))
    network, rest = train_test_split(indices, train_size=599, stratify=digits.target, random_state=seed)
    train, test = train_test_split(rest, train_size=599, stratify=digits.target[rest], random_state=seed)
    for part, part_indices in (("network", network), ("train", train), ("test", test)):
        for digit in range(10):
            (folder / part / str(digit)).mkdir(parents=True, exist_ok=True)
        for index in part_indices:
            scan = Image.fromarray(np.round(digits.images[index] * (255 / 16)).astype(np.uint8))
            picture = scan.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            picture.save(folder / part / str(digits.target[index]) / f"{index:04}.png")


def read_digits(folder: Path) -> tuple[list[Path], Tensor, Tensor]:
    """Read a folder with one subfolder per digit; return paths, pixels (N, 3, 32, 32) in [0, 1] and digits (N,)."""
    paths, labels = labelled_images(folder)
    images = torch.stack([IN_UNITS(read_image(path)) for path in paths])
    return paths, images, torch.tensor([int(label) for label in labels])


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit PyTorch to one thread, which is faster for such a small network, and gives the same sums everywhere."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def train_network(
    folder: Path,
    weights: Path,
    *,
    epochs: int = 15,
    seed: int = 0,
    progress: Progress | None = None,
) -> DigitsNet:
    """Train the network on a folder of digits, randomly shifted by up to two pixels, and write its weights.

    Parameters
    ----------
    folder
        One subfolder per digit.
    weights
        The ``.safetensors`` file to write.
    epochs
        Passes over the folder.
    seed
        Seed of the initial weights, the order of the images and their shifts.
    progress
        Called after every pass; an image counts once per pass.

    Returns
    -------
    DigitsNet
        In evaluation mode, on the CPU.
    """
    _, images, digits = read_digits(folder)
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(seed)
        network = digits_network()
        _optimise(network, images, digits, epochs, progress)
    save_file(network.state_dict(), weights)
    return network.eval()


def _optimise(
    network: nn.Module,
    images: Tensor,
    digits: Tensor,
    epochs: int,
    progress: Progress | None,
    batch_size: int = 64,
    rate: float = 3e-3,
) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-2)
    steps = epochs * -(-len(images) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    for epoch in range(epochs):
        for batch in torch.split(torch.randperm(len(images)), batch_size):
            shift = torch.randint(-2, 3, (2,)).tolist()
            loss = cross_entropy(network(images[batch].roll(shift, dims=(2, 3))), digits[batch])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
        if progress is not None:
            progress((epoch + 1) * len(images), epochs * len(images))
