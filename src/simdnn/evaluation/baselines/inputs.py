"""The input of detectors: images, with the logits and features of one pass of the protected network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from simdnn.networks.backbone import Backbone
from simdnn.networks.device import device_of
from simdnn.networks.loading import last_layer

LAYERS = 3
"""Number of layers before the penultimate one that multi-layer detectors use."""


@dataclass(frozen=True)
class BaselineInput:
    """N images, with the protected network's logits and features.

    Attributes
    ----------
    pixels : (N, 3, H, W) in [0, 1], float32, on the CPU, at the network's input size
    logits : (N, K) float32
    features : {layer: (N, d)} float32, from shallow to deep; the last is the penultimate layer, the input of the head
    """

    pixels: Tensor
    logits: NDArray[np.float32]
    features: dict[str, NDArray[np.float32]]

    @property
    def penultimate(self) -> NDArray[np.float32]:
        """Features (N, d) of the last layer before the head."""
        return next(reversed(self.features.values()))

    def rows(self, chosen: ArrayLike) -> BaselineInput:
        """Return some of the images, by a mask (N,) or by indices."""
        index = np.asarray(chosen)
        return BaselineInput(
            self.pixels[torch.from_numpy(index)],
            self.logits[index],
            {layer: values[index] for layer, values in self.features.items()},
        )


@torch.no_grad()
def baseline_input(network: Backbone, pixels: Tensor, batch_size: int = 64) -> BaselineInput:
    """Run the network once on images (N, 3, H, W) in [0, 1]."""
    device = next(network.buffers()).device
    outputs = [network(batch.to(device)) for batch in torch.split(pixels, batch_size)]
    return BaselineInput(
        pixels,
        np.concatenate([output.logits.float().cpu().numpy() for output in outputs]),
        {
            layer: np.concatenate([output.features[layer].float().cpu().numpy() for output in outputs])
            for layer in network.layers
        },
    )


def middle_layers(network: Backbone) -> tuple[str, ...]:
    """Name the last layer at each of the deepest `LAYERS` resolutions of feature maps, from shallow to deep."""
    last: dict[tuple[int, int], str] = {}
    bare = network.network

    def record_size(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_: nn.Module, __: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim == 4 and max(output.shape[-2:]) > 1:
                last[output.shape[-2], output.shape[-1]] = name

        return hook

    hooks = [module.register_forward_hook(record_size(name)) for name, module in bare.named_modules() if name]
    try:
        with torch.no_grad():
            bare(torch.zeros(1, 3, *network.spec.preprocess.size, device=device_of(bare)))
    finally:
        for hook in hooks:
            hook.remove()
    head = last_layer(bare)
    return tuple(name for name in last.values() if name != head)[-LAYERS:]
