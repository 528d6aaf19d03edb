"""Replace the head of a network, its last linear layer, for other classes."""

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
"""Inverse of the regularisation strength of the logistic regression, on standardised features."""


def head_of(network: nn.Module) -> nn.Linear:
    """Return a network's last layer; InputError if it is not linear, as in SqueezeNet."""
    layer = network.get_submodule(last_layer(network))
    if not isinstance(layer, nn.Linear):
        raise InputError(
            f"expected a network whose last layer is linear, got {type(network).__name__}, which ends in "
            f"{type(layer).__name__}; choose another backbone"
        )
    return layer


def with_features(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return a network's logits (N, K) and the input (N, d) of its last layer, in one pass."""
    features: list[Tensor] = []
    hook = head_of(network).register_forward_pre_hook(lambda _, given: features.append(given[0]))
    try:
        logits: Tensor = network(images)
    finally:
        hook.remove()
    return logits, features[0]


def replace_head(network: nn.Module, n_classes: int) -> None:
    """Replace a network's last layer by an untrained one with ``n_classes`` outputs, unless it has that number."""
    old = head_of(network)
    if old.out_features != n_classes:
        network.set_submodule(last_layer(network), nn.Linear(old.in_features, n_classes))


def learn_head(network: nn.Module, features: Tensor, labels: NDArray[np.int64]) -> None:
    """Replace a network's last layer by a logistic regression on its input features.

    Parameters
    ----------
    network
        Changed in place.
    features
        Shape (N, d), the input of the last layer.
    labels
        Shape (N,), with every class from 0 to K - 1 among them, K >= 2.
    """
    old = head_of(network)
    scaler = StandardScaler().fit(features.numpy())
    regression = LogisticRegression(C=STRENGTH, max_iter=1000)
    regression.fit(scaler.transform(features.numpy()), labels)
    weight, bias = regression.coef_ / scaler.scale_, regression.intercept_
    bias = bias - weight @ scaler.mean_
    if len(weight) == 1:  # for two classes scikit-learn has the log-odds of the second only
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    new = nn.Linear(old.in_features, len(weight))
    with torch.no_grad():
        new.weight.copy_(torch.from_numpy(weight))
        new.bias.copy_(torch.from_numpy(bias))
    network.set_submodule(last_layer(network), new)
