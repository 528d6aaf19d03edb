"""Batch norms that an export folded into the convolutions, made ready for training again."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def are_folded(network: nn.Module) -> bool:
    """Tell whether a network's batch norms hold no statistics: mean 0 and variance 1 throughout."""
    norms = _norms(network)
    return bool(norms) and all(
        bool((norm.running_mean == 0).all()) and bool((norm.running_var == 1).all())
        for norm in norms
        if norm.running_mean is not None and norm.running_var is not None
    )


@torch.no_grad()
def unfold_norms(network: nn.Module, images: Tensor) -> None:
    """Give folded batch norms the statistics of a batch of images; the network's function stays the same.

    Training needs them: it normalises by the statistics of its batches, which the folded weights do not expect.

    Parameters
    ----------
    network
        Changed in place, and left in evaluation mode.
    images
        What ``network`` takes, some hundreds of them.
    """
    network.eval()
    inputs: dict[nn.Module, Tensor] = {}
    norms = _norms(network)
    hooks = [
        norm.register_forward_pre_hook(lambda m, given: inputs.__setitem__(m, given[0])) for norm in norms
    ]
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
