"""The last linear layer of a network, for other classes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from simdnn.errors import InputError
from simdnn.networks.loading import last_layer

STRENGTH = 0.01
"""Inverse of the regularisation, on standardised features."""


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


def learn_head(network: nn.Module, features: Tensor, labels: NDArray[np.int64]) -> None:
    """Replace a network's last layer by logistic regression on what goes into it.

    Parameters
    ----------
    network
        Changed in place.
    features
        Shape (N, d), what the last layer gets.
    labels
        Shape (N,), every number from 0 to K - 1 among them, with K of at least 2.
    """
    old = head_of(network)
    scaler = StandardScaler().fit(features.numpy())
    found = LogisticRegression(C=STRENGTH, max_iter=1000).fit(scaler.transform(features.numpy()), labels)
    weight, bias = found.coef_ / scaler.scale_, found.intercept_
    bias = bias - weight @ scaler.mean_
    if len(weight) == 1:  # two classes: the log-odds of the second
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    new = nn.Linear(old.in_features, len(weight))
    with torch.no_grad():
        new.weight.copy_(torch.from_numpy(weight))
        new.bias.copy_(torch.from_numpy(bias))
    network.set_submodule(last_layer(network), new)
