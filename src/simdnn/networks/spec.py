"""How to make a network again: what a guard file keeps of it."""

from __future__ import annotations

from dataclasses import dataclass

from simdnn.images.preprocess import Preprocess

PENULTIMATE = "penultimate"
"""Stands for the input of the last linear layer, or of the last convolution where there is none."""


@dataclass(frozen=True)
class BackboneSpec:
    """Everything needed to make a backbone again.

    Attributes
    ----------
    name
        A torchvision classification network, or ``"package.module:factory"``; only a label for a network given
        as an object.
    weights
        A file of safetensors or ``torch.save``; None for torchvision's own, or a network's as it comes.
    layers
        Names of modules, whose outputs are the features; `PENULTIMATE` may be one of them, and is meant by none.
    preprocess
        From a picture to the pixels that the network takes.
    """

    name: str
    weights: str | None
    layers: tuple[str, ...]
    preprocess: Preprocess
