"""The images of each column: clean, harmlessly corrupted or attacked; attacked images are stored and reused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor, nn

from simdnn.attacks import predict, round_to_levels, run_attack
from simdnn.attacks.registry import make_attack
from simdnn.evaluation.defences import reseed
from simdnn.evaluation.plan import Column
from simdnn.evaluation.records import cell_key
from simdnn.images.corruptions import corrupt
from simdnn.progress import Progress

BATCH = 16
"""Images that are attacked together."""


@dataclass(frozen=True)
class ColumnImages:
    """The N images of one column.

    Attributes
    ----------
    pixels : (N, 3, H, W) in [0, 1]
    rows : (N,) indices of the originals among the test images
    network_correct : (N,) whether the bare network classifies the images correctly
    fooled : (N,) whether it misclassifies the images, but not their originals
    """

    pixels: Tensor
    rows: NDArray[np.int64]
    network_correct: NDArray[np.bool_]
    fooled: NDArray[np.bool_]

    def spread(self, count: int) -> ColumnImages:
        """Return at most ``count`` of the images, evenly spaced and so spread over the classes; 0 for all."""
        if not 0 < count < len(self.rows):
            return self
        chosen = np.linspace(0, len(self.rows) - 1, count).round().astype(np.int64)
        return ColumnImages(
            self.pixels[chosen], self.rows[chosen], self.network_correct[chosen], self.fooled[chosen]
        )


class Columns:
    """Makes the columns of one network.

    Parameters
    ----------
    network : the bare network, images in [0, 1] to logits (N, K)
    pixels, truth : the test images (N, 3, H, W) in [0, 1], and (N,) the network's outputs for their true classes
    defences : defended networks by name, for attacks that differentiate through a defence
    defence_weights : hashes of the weights of those that have some, by name
    identity : hashes of images and network, for the names of stored files
    store : folder for attacked images
    limit : largest number of images that are attacked; 0 for all
    seed : seed of all random numbers
    """

    def __init__(
        self,
        network: nn.Module,
        pixels: Tensor,
        truth: Tensor,
        *,
        defences: Mapping[str, nn.Module],
        defence_weights: Mapping[str, str],
        identity: Mapping[str, Any],
        store: Path,
        limit: int,
        seed: int,
    ) -> None:
        self.network = network
        self.pixels = pixels
        self.truth = truth
        self.defences = defences
        self.defence_weights = defence_weights
        self.identity = identity
        self.store = store
        self.limit = limit
        self.seed = seed
        self.network_correct = (predict(network, pixels) == truth).numpy()

    def make(self, column: Column, progress: Progress | None = None) -> ColumnImages:
        """Return the images of a column."""
        rows = np.arange(len(self.pixels))
        if column.kind == "clean":
            pixels = self.pixels
        elif column.kind == "control":
            draw = Generator().manual_seed(self.seed)
            pixels = torch.stack([corrupt(column.parameters["change"], image, draw) for image in self.pixels])
        else:
            rows, attacked = self._attacked(column, progress)
            pixels = in_form(attacked, column.form)
        correct = (predict(self.network, pixels) == self.truth[rows]).numpy()
        return ColumnImages(pixels, rows, correct, self.network_correct[rows] & ~correct)

    def _attacked(self, column: Column, progress: Progress | None) -> tuple[NDArray[np.int64], Tensor]:
        """Attack the test images, or load the stored result: indices of the originals, and float images."""
        limit = min(filter(None, (self.limit, column.limit)), default=0)
        key = {name: value for name, value in column.key.items() if name not in ("form", "label")} | {
            "limit": limit
        }
        if column.through in self.defence_weights:  # the names of other stored images stay what they were
            key["defence"] = self.defence_weights[column.through]
        path = self.store / f"{cell_key({**self.identity, **key, 'seed': self.seed})}.safetensors"
        if path.exists():
            stored = load_file(path)
            return stored["rows"].numpy(), stored["images"]
        order = torch.randperm(len(self.pixels), generator=Generator().manual_seed(self.seed))
        rows = order[: limit or None].sort().values
        target = self.defences[column.through] if column.through else self.network
        reseed(target, self.seed)
        result = run_attack(
            make_attack(column.parameters),
            target,
            self.pixels[rows],
            self.truth[rows],
            seed=self.seed,
            batch_size=BATCH,
            progress=progress,
        )
        self.store.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        save_file({"images": result.images.contiguous(), "rows": rows}, part)
        part.rename(path)
        return rows.numpy(), result.images


def in_form(attacked: Tensor, form: str) -> Tensor:
    """Return attacked images (N, 3, H, W) in one of `FORMS`."""
    if form == "float":
        return attacked
    if form == "8-bit":
        return round_to_levels(attacked)
    draw = Generator()  # JPEG draws nothing
    return torch.stack([corrupt(form, image, draw) for image in round_to_levels(attacked)])
