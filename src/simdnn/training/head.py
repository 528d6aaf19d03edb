"""The last linear layer of a network, for other classes."""

from __future__ import annotations

from torch import nn

from simdnn.errors import InputError
from simdnn.networks.loading import last_layer


def head_of(network: nn.Module) -> nn.Linear:
    """Return a network's last layer; InputError if it is not linear, as in SqueezeNet."""
    layer = network.get_submodule(last_layer(network))
    if not isinstance(layer, nn.Linear):
        raise InputError(
            f"expected a network whose last layer is linear, got {type(network).__name__}, which ends in "
            f"{type(layer).__name__}; choose another backbone"
        )
    return layer


def replace_head(network: nn.Module, n_classes: int) -> None:
    """Give a network an untrained last layer with so many outputs, unless it has that number already."""
    old = head_of(network)
    if old.out_features != n_classes:
        network.set_submodule(last_layer(network), nn.Linear(old.in_features, n_classes))
