"""Guards of a small network on scanned digits: with every rule, and with an auxiliary network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.noisy_digits import noisy_auxiliary
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
    train_network(folder / "network", folder / "0.safetensors", seed=0)
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
    extractor = Extractor([backbone(place, 0)], auxiliary=noisy_auxiliary(place))
    return Guard.fit(place / "train", extractor, view_seed=3)


@pytest.fixture(scope="session")
def digits(place: Path) -> tuple[Tensor, Tensor]:
    _, images, labels = read_digits(place / "test")
    return images[::12], labels[::12]
