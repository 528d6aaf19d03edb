"""An auxiliary network for scanned digits: a small one on half their size, trained under noise in a second."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from simdnn.digits import read_digits
from simdnn.networks.auxiliary import AuxiliaryNetwork, AuxiliarySpec
from simdnn.networks.reduction import reduced
from simdnn.training.loop import Settings, train
from simdnn.training.losses import LOSSES

SIDE, SIGMA = 16, 0.5


def noisy_auxiliary(folder: Path, seed: int = 0) -> AuxiliaryNetwork:
    """Train on the part ``network`` of the digits; it is handed over, as its architecture is not torchvision's."""
    _, images, labels = read_digits(folder / "network")
    small = reduced(images, SIDE)

    def loss(network: nn.Module, rows: Tensor) -> Tensor:
        return LOSSES["noise"](network, small[rows], labels[rows], SIGMA)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 64), nn.ReLU(), nn.Linear(64, 10))
        settings = Settings(epochs=10, batch_size=32, rate=3e-3, optimizer="adamw", seed=seed)
        trained = train(network, len(small), loss, settings, device=torch.device("cpu"))
    return AuxiliaryNetwork(trained.eval().requires_grad_(False), digits_spec())


def digits_spec() -> AuxiliarySpec:
    """What is known of it; the architecture stands for none."""
    return AuxiliarySpec(
        "resnet18", SIDE, SIGMA, tuple(map(str, range(10))), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
    )
