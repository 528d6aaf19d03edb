"""A linear network, images and their predicted classes."""

from __future__ import annotations

import pytest
import torch
from tests.attacks.networks import SHAPE
from torch import Tensor, nn

from simdnn.attacks import (
    predict,
)


@pytest.fixture(scope="module")
def linear() -> nn.Module:
    """Two classes; the margin between them is a linear function of the pixels."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 2)).eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Far enough from 0 and 1 that no attack here is cut off."""
    return 0.3 + 0.4 * torch.rand(20, *SHAPE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def labels(linear: nn.Module, images: Tensor) -> Tensor:
    return predict(linear, images)
