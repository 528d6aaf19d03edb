"""Where a network is: the one place that tells attacks the device to send their images to."""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor, nn


def device_of(model: object) -> torch.device:
    """Return the device of a network's parameters or, where it has none, of its buffers; else the CPU."""
    if not isinstance(model, nn.Module):
        return torch.device("cpu")
    return next((t.device for t in chain(model.parameters(), model.buffers())), torch.device("cpu"))


def high_precision(values: Tensor) -> Tensor:
    """Return values as float64; as float32 on MPS, which has no float64."""
    return values.float() if values.device.type == "mps" else values.double()
