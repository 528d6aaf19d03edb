"""The specification of a network in a guard file."""

from __future__ import annotations

from dataclasses import dataclass

from simdnn.images.preprocess import Preprocess

PENULTIMATE = "penultimate"
"""Names the input of the last linear layer; of the last convolution in a network without linear layers."""


@dataclass(frozen=True)
class BackboneSpec:
    """Everything needed to load a backbone again, by `simdnn.networks.backbone.restore_backbone`.

    Attributes
    ----------
    name
        A torchvision classification network, or ``"package.module:factory"``; only a label for a network given
        as an object.
    weights
        A file of safetensors or ``torch.save``; None for torchvision's weights, or those that your own network comes
        with.
    layers
        Names of modules whose outputs are the features; `PENULTIMATE` may be among them, and is the default if empty.
    preprocess
        From an image to the network's input.
    """

    name: str
    weights: str | None
    layers: tuple[str, ...]
    preprocess: Preprocess
