from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from simdnn.digits import read_digits, write_digits
from simdnn.networks.digits import digits_network
from simdnn.training.loop import Settings, train
from simdnn.training.losses import DISTILLATION, LOSSES
from simdnn.training.vote import vote_accuracy


# distillation needs a trained network to start from
@pytest.mark.parametrize("name", sorted(LOSSES.keys() - {DISTILLATION}))
def test_a_network_learns_to_read_digits_under_noise(name: str, tmp_path: Path) -> None:
    write_digits(tmp_path)
    _, images, digits = read_digits(tmp_path / "network")

    def loss(network: nn.Module, rows: Tensor) -> Tensor:
        return LOSSES[name](network, images[rows], digits[rows], 0.5)

    torch.manual_seed(0)
    settings = Settings(epochs=6, batch_size=32, rate=3e-3, optimizer="adamw")
    network = train(digits_network(), len(images), loss, settings, device=torch.device("cpu"))
    _, images, digits = read_digits(tmp_path / "test")
    found = vote_accuracy(
        network, lambda rows: images[np.asarray(rows)], digits.numpy(), 0.5, draws=5, batch_size=200
    )
    assert found.value > 0.8  # a tenth by chance
