"""The device that networks run on."""

from __future__ import annotations

from itertools import chain

import torch
from torch import nn

from simdnn.errors import InputError


def chosen_device(name: torch.device | str | None) -> torch.device:
    """Return the device of that name, `default_device` for None; InputError if it is not available."""
    if name is None:
        return default_device()
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # PyTorch built without it, or a machine without it
        raise InputError(f"expected an available device, such as cpu or cuda, got {str(name)!r}") from error
    return device


def default_device() -> torch.device:
    """Return CUDA if there is one, else MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def device_of(model: object) -> torch.device:
    """Return the device of a network's parameters or, where it has none, of its buffers; else the CPU."""
    if not isinstance(model, nn.Module):
        return torch.device("cpu")
    return next((t.device for t in chain(model.parameters(), model.buffers())), torch.device("cpu"))
