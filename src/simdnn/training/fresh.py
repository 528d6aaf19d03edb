"""Networks trained from random weights: how they start, and how they end."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from simdnn.networks.auxiliary import untrained
from simdnn.networks.loading import last_layer
from simdnn.training.loop import Settings

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's normalisation, the default of a guard."""

NORM_IMAGES = 5_000
"""Number of images from which the batch norms take their final means and variances."""


def fresh_network(name: str, n_classes: int, seed: int, norm_bias: float = 0.0) -> nn.Module:
    """Build a torchvision network with random weights, in the memory format that is fastest on a CPU.

    ``norm_bias`` is the bias with which batch norms start. With 1, most values pass the ReLU behind them unchanged, and
    the gradient of a deep network without skip connections neither grows from layer to layer nor depends on rounding.
    """
    torch.manual_seed(seed)
    network = untrained(name, n_classes)
    # MnasNet's initialisation of its last layer depends on the number of classes, and is far too large for ten.
    head = network.get_submodule(last_layer(network))
    assert isinstance(head, nn.Linear | nn.Conv2d)
    head.reset_parameters()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.constant_(layer.bias, norm_bias)
    return network.to(memory_format=torch.channels_last)


def normalised(images: Tensor) -> Tensor:
    """Normalise images (N, 3, H, W) in [0, 1]."""
    normal = (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    return normal.to(memory_format=torch.channels_last)


def settle_norms(
    network: nn.Module, inputs: Callable[[Tensor], Tensor], n: int, settings: Settings
) -> nn.Module:
    """Recompute the statistics of a trained network's batch norms, and return it in evaluation mode.

    Networks such as MnasNet average these over thousands of batches, more than a short schedule has.

    Parameters
    ----------
    network : changed in place
    inputs : from indices (B,) of the data to normalised images (B, 3, H, W)
    n : number of rows of the data, of which `NORM_IMAGES` are drawn
    settings : batch size and seed
    """
    rows = torch.from_numpy(np.random.default_rng(settings.seed).permutation(n)[:NORM_IMAGES])
    torch.optim.swa_utils.update_bn(map(inputs, torch.split(rows, settings.batch_size)), network)
    return network.eval()
