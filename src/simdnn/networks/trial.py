"""Checks of a network before it is used: its input, its output, and whether it is deterministic."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from simdnn.errors import InputError, SimDNNError

TRIAL_IMAGES = 3
"""Number of images that `tried` runs a network on: one alone, then a batch of two."""

_TOLERANCE = 1e-3  # relative to the largest value: libraries round differently for other batch sizes

Run = Callable[[Tensor], tuple[Tensor, dict[str, Tensor]]]
"""From images (N, 3, H, W) to logits (N, K) and features {layer: (N, d)}."""


def own_copy(network: nn.Module, name: str) -> nn.Module:
    """Copy a network to the CPU in float32.

    Raises
    ------
    InputError
        If it cannot be copied, or its layers cannot have hooks.
    """
    check_kind(network, name)
    try:
        return copy.deepcopy(network).cpu().float()
    except Exception as error:  # such as the old weight norm, which keeps tensors that are part of a graph
        raise InputError(
            f"expected {name} as a network that can be copied, got {type(error).__name__}: {error}; take weight norm "
            "off (torch.nn.utils.remove_weight_norm), or give the function that makes it: package.module:factory"
        ) from error


def check_kind(network: nn.Module, name: str) -> None:
    """Raise InputError for a network whose layers cannot have hooks, or that has no weights yet."""
    if isinstance(network, torch.jit.ScriptModule):
        raise InputError(
            f"expected {name} as a plain torch.nn.Module, got TorchScript, whose layers cannot have hooks; give the "
            "network that it was made from"
        )
    if any(is_lazy(tensor) for tensor in [*network.parameters(), *network.buffers()]):
        raise InputError(
            f"expected {name} with weights, got lazy layers that have none yet; run it once on an image before"
        )


def tried(run: Run, network: nn.Module, name: str, size: tuple[int, int]) -> tuple[Tensor, dict[str, Tensor]]:
    """Run a network on images of noise; return logits (1, K) and features {layer: (1, d)} of one.

    Parameters
    ----------
    run
        The network with its normalisation.
    network, name
        For the texts of errors.
    size
        Height and width of its input, in pixels.

    Raises
    ------
    InputError
        If it fails on such images, has a single output, or returns another result for the same image when run again,
        or in another batch.
    """
    height, width = size
    images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        try:
            alone = run(images[:1])
        except SimDNNError:
            raise
        except Exception as error:  # networks may raise any type
            raise InputError(
                f"expected {name} to take images of shape (N, 3, {height}, {width}), got {type(error).__name__}: "
                f"{error}; {_advice(network, error)}"
            ) from error
        if alone[0].shape[1] < 2:
            raise InputError(
                f"expected at least two outputs of {name}, one per class, got one; wrap it in a module that returns "
                "torch.cat([torch.zeros_like(x), x], dim=1), the logits of no and yes"
            )
        try:
            together = run(images)
        except Exception as error:
            raise InputError(
                f"expected {name} to take several images at once, got {type(error).__name__}: {error}; wrap it in a "
                "module that runs it on one after the other"
            ) from error
        if not _alike(alone, together):
            if not _alike(alone, run(images[:1])):
                raise InputError(
                    f"expected {name} to return the same for the same image, got another result the second time; "
                    "switch off its randomness in evaluation mode, such as F.dropout without training=self.training"
                )
            raise InputError(
                f"expected {name} to return the same for an image alone and in a batch, got different results; use "
                "running statistics in batch norm, and nothing else that mixes the images of a batch"
            )
    return alone


def _alike(alone: tuple[Tensor, dict[str, Tensor]], other: tuple[Tensor, dict[str, Tensor]]) -> bool:
    """Compare the results for the first image, up to rounding."""
    pairs = [(alone[0], other[0]), *((value, other[1][layer]) for layer, value in alone[1].items())]
    return all(
        torch.allclose(one[0], two[0], rtol=0, atol=_TOLERANCE * float(one.abs().max()), equal_nan=True)
        for one, two in pairs
    )


def _advice(network: nn.Module, error: Exception) -> str:
    """Return advice for a network that fails on images with three channels."""
    first = next((m for m in network.modules() if isinstance(m, nn.Conv2d)), None)
    if isinstance(error, TypeError):
        return "wrap it in a module whose forward takes the images alone"
    if first is not None and first.in_channels != 3:
        return (
            f"its first layer takes {first.in_channels} channels: wrap it in a module that makes them of three, "
            "such as images.mean(1, keepdim=True) for grey"
        )
    return "give the size it takes"
