"""Scanned digits, and networks that are trained on them to the end."""

from __future__ import annotations

import shutil
from pathlib import Path

from simdnn.digits import IN_UNITS, train_network, write_digits
from simdnn.networks.backbone import Backbone, load_backbone
from simdnn.networks.digits import SIDE


class TrainedDigits:
    """The folder of the digits, and the network's weights for each seed, trained on first use.

    Attributes
    ----------
    folder : with the parts ``network``, ``train`` and ``test``, 599 digits each, in a subfolder per digit
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_digits(folder)

    def weights(self, seed: int = 0) -> Path:
        """Return the file of the weights, trained with that seed."""
        path = self.folder / f"weights-{seed}.safetensors"
        if not path.exists():
            train_network(self.folder / "network", path, seed=seed)
        return path

    def backbone(self, seed: int = 0, layers: tuple[str, ...] = ()) -> Backbone:
        """Load the network."""
        return load_backbone(
            "simdnn.networks.digits:digits_network",
            self.weights(seed),
            layers,
            size=SIDE,
            mean=IN_UNITS.mean,
            std=IN_UNITS.std,
        )


def cache_digits(digits: TrainedDigits, cache: Path) -> None:
    """Put the digits and the network of seed 0 where the benchmark's dataset ``builtin = "digits"`` keeps them."""
    shutil.copytree(digits.folder, cache / "digits")
    shutil.copy(digits.weights(), cache / "digits" / "weights.safetensors")
