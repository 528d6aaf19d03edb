"""Batch norms that were folded into the convolutions, restored for training."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def are_folded(network: nn.Module) -> bool:
    """Return whether all batch norms of a network have mean 0 and variance 1, as after folding."""
    norms = _norms(network)
    return bool(norms) and all(
        bool((norm.running_mean == 0).all()) and bool((norm.running_var == 1).all())
        for norm in norms
        if norm.running_mean is not None and norm.running_var is not None
    )


@torch.no_grad()
def unfold_norms(network: nn.Module, images: Tensor) -> None:
    """Set the statistics of folded batch norms to those of a batch of images, without changing the network's function.

    Training normalises by the statistics of its batches, to which weight and bias must belong.

    Parameters
    ----------
    network
        Changed in place, and left in evaluation mode.
    images
        Some hundreds of inputs of ``network``.
    """
    network.eval()
    inputs: dict[nn.Module, Tensor] = {}
    norms = _norms(network)
    hooks = [norm.register_forward_pre_hook(lambda m, args: inputs.__setitem__(m, args[0])) for norm in norms]
    network(images)
    for hook in hooks:
        hook.remove()
    for norm in norms:
        mean, variance = norm.running_mean, norm.running_var
        if mean is None or variance is None:
            continue
        factor = norm.weight / (variance + norm.eps).sqrt()
        offset = norm.bias - factor * mean
        new_variance, new_mean = torch.var_mean(inputs[norm], dim=(0, 2, 3))
        mean.copy_(new_mean)
        variance.copy_(new_variance)
        norm.weight.copy_(factor * (new_variance + norm.eps).sqrt())
        norm.bias.copy_(offset + factor * new_mean)


def _norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
