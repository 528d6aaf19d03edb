"""One pass of the protected network, and the layers that detectors look at."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from simdnn.attacks.device import device_of
from simdnn.evaluation.baselines.detector import Observation
from simdnn.networks.backbone import Backbone
from simdnn.networks.loading import last_layer

LAYERS = 3
"""Layers before the penultimate that detectors of several layers look at."""


@torch.no_grad()
def observe(network: Backbone, pixels: Tensor, batch_size: int = 64) -> Observation:
    """Run images (N, 3, H, W) in [0, 1] through the network once."""
    device = next(network.buffers()).device
    outputs = [network(batch.to(device)) for batch in torch.split(pixels, batch_size)]
    return Observation(
        pixels,
        np.concatenate([output.logits.float().cpu().numpy() for output in outputs]),
        {
            layer: np.concatenate([output.features[layer].float().cpu().numpy() for output in outputs])
            for layer in network.layers
        },
    )


def middle_layers(network: Backbone) -> tuple[str, ...]:
    """Name the last layer at each of the last resolutions of any network's maps, from shallow to deep."""
    last: dict[tuple[int, int], str] = {}
    bare = network.network

    def noted(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_: nn.Module, __: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim == 4 and max(output.shape[-2:]) > 1:
                last[output.shape[-2], output.shape[-1]] = name

        return hook

    hooks = [module.register_forward_hook(noted(name)) for name, module in bare.named_modules() if name]
    try:
        with torch.no_grad():
            bare(torch.zeros(1, 3, *network.spec.preprocess.size, device=device_of(bare)))
    finally:
        for hook in hooks:
            hook.remove()
    head = last_layer(bare)
    return tuple(name for name in last.values() if name != head)[-LAYERS:]
