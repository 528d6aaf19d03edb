"""Guards of a small network on scanned digits: with every rule, and with an auxiliary network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from simdnn.digits import IN_UNITS, read_digits, train_network, write_digits
from simdnn.guard.guard import Guard
from simdnn.networks.backbone import Backbone, load_backbone
from simdnn.networks.digits import SIDE
from simdnn.networks.extractor import Extractor


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adaptive")
    torch.set_num_threads(1)
    write_digits(folder, seed=0)
    for seed in (0, 1):
        train_network(folder / "network", folder / f"{seed}.safetensors", seed=seed)
    return folder


def backbone(place: Path, seed: int) -> Backbone:
    return load_backbone(
        "simdnn.networks.digits:digits_network",
        place / f"{seed}.safetensors",
        size=SIDE,
        mean=IN_UNITS.mean,
        std=IN_UNITS.std,
    )


@pytest.fixture(scope="session")
def guard(place: Path) -> Guard:
    return Guard.fit(place / "train", Extractor([backbone(place, 0)]), view_seed=3)


@pytest.fixture(scope="session")
def guard_with_auxiliary(place: Path) -> Guard:
    """The auxiliary network is no robust one here, only another one."""
    extractor = Extractor([backbone(place, 0)], auxiliary=backbone(place, 1))
    return Guard.fit(place / "train", extractor, view_seed=3)


@pytest.fixture(scope="session")
def digits(place: Path) -> tuple[Tensor, Tensor]:
    _, images, labels = read_digits(place / "test")
    return images[::12], labels[::12]
