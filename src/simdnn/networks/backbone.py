"""A classification network that returns logits and the features of chosen layers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from simdnn.errors import InputError
from simdnn.networks.fusing import fused_norms
from simdnn.networks.identity import source_hashes, versions
from simdnn.networks.layers import watch, watching
from simdnn.networks.loading import (
    OWN_PREPROCESS,
    default_preprocess,
    imagenet_categories,
    imported_network,
    is_import_path,
    torchvision_network,
)
from simdnn.networks.spec import PENULTIMATE, BackboneSpec
from simdnn.networks.trial import check_kind, own_copy, tried
from simdnn.networks.weights import fit_weights, hash_weights, read_weights


class BackboneOutput(NamedTuple):
    """Output of one pass: ``logits`` (N, K), and ``features`` {layer: (N, d)} in the order of the layers."""

    logits: Tensor
    features: dict[str, Tensor]


class Backbone(nn.Module):
    """A frozen network that takes images in [0, 1] and returns logits and features.

    Made by `load_backbone`. Gradients flow to the images, not to the parameters. It stays in evaluation mode.

    Attributes
    ----------
    spec
        Specification from which it can be made again.
    network
        The network as it was given.
    fused
        What runs: the network with batch norms fused into convolutions.
    weights_hash
        SHA-256 of the network's tensors.
    categories
        Names of the outputs, or None where they are not known.
    layers
        Names of the layers, the keys of the features, in order.
    n_features
        Number of features of all layers together.
    n_classes
        Number of outputs, K.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: nn.Module, spec: BackboneSpec, categories: tuple[str, ...] | None = None
    ) -> None:
        super().__init__()
        check_kind(network, spec.name)
        self.spec = spec
        self.network = network.eval().requires_grad_(False)
        self.layers = spec.layers or (PENULTIMATE,)
        self.weights_hash = hash_weights(network)
        self.fused = fused_norms(network, spec.preprocess.size, keep=self.layers)
        self.register_buffer("mean", torch.tensor(spec.preprocess.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec.preprocess.std).view(3, 1, 1), persistent=False)
        watch(self.fused, self.layers)
        logits, features = tried(self, network, spec.name, spec.preprocess.size)
        self.n_features = sum(feature.shape[1] for feature in features.values())
        self.n_classes = logits.shape[1]
        self.categories = categories if categories and len(categories) == self.n_classes else None

    def forward(self, images: Tensor) -> BackboneOutput:
        """Run the network once.

        Parameters
        ----------
        images
            Shape (N, 3, H, W), in [0, 1], not normalised.

        Returns
        -------
        BackboneOutput

        Raises
        ------
        InputError
            If the images or a layer's output have another shape, or a layer did not run.
        """
        if images.ndim != 4 or images.shape[1] != 3:
            raise InputError(f"expected images of shape (N, 3, H, W), got {tuple(images.shape)}")
        with watching() as features:
            logits = self.fused((images - self.mean) / self.std)
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise InputError(
                f"expected logits of shape (N, classes) from {self.spec.name}, got {got}; wrap it in a module that "
                "returns the logits alone"
            )
        for layer in self.layers:
            if layer not in features:
                raise InputError(
                    f"expected layer {layer!r} of {self.spec.name} to run, but it did not; name another"
                )
        return BackboneOutput(logits, {layer: features[layer] for layer in self.layers})

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode and ignore ``mode``: the prototypes were learned from features in that mode."""
        del mode
        return super().train(mode=False)

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the features of an image file, as plain values, for the cache's keys.

        The network's name, weights (SHA-256), layers and preprocessing; the versions of the libraries; and, for a
        network that is not torchvision's, the hash of the source of each module that defines it.
        """
        factory, colon, _ = self.spec.name.partition(":")
        return {
            "name": self.spec.name,
            "weights": self.weights_hash,
            "layers": list(self.layers),
            "preprocess": self.spec.preprocess.as_dict(),
            "versions": versions(),
            "sources": source_hashes(self.network, *([factory] if colon else [])),
        }


def load_backbone(
    name: str,
    weights: str | Path | None = None,
    layers: Iterable[str] = (),
    *,
    network: nn.Module | None = None,
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    resize: int | None = None,
    size: int | tuple[int, int] | None = None,
) -> Backbone:
    """Load a network: one of torchvision's, your own by its import path, or an object.

    Parameters
    ----------
    name
        A torchvision classification network such as ``"vgg16"``, or ``"package.module:factory"``, a function
        without arguments that returns your own network. With ``network`` given, any label.
    weights
        A file of safetensors or ``torch.save``, such as a checkpoint. None: torchvision's weights, fetched at first
        use; for your own network, the weights that it comes with.
    layers
        Names of modules whose outputs are the features; by default `PENULTIMATE`.
    network
        Your own network as an object. It is copied, and left as it is.
    mean, std
        Normalisation of the pixels, per channel. Default: that of torchvision's weights of this name; for your own
        network, ImageNet's.
    resize
        Length of the shorter side before the centre is cropped. Default: torchvision's, in proportion to ``size``;
        for your own network there is no crop, and the whole image is resized to ``size``.
    size
        Side, or height and width, of the network's input in pixels. Default: torchvision's; 224 for your own network.

    Raises
    ------
    InputError
        If there is no such network or layer, or the network does not run on images of that size, returns fewer than
        two logits, or returns another result for the same image in another run or batch.
    WeightsError
        If the weights cannot be fetched or read, or do not fit.
    """
    default = OWN_PREPROCESS if network is not None else default_preprocess(name)
    sides = default.size if size is None else (size, size) if isinstance(size, int) else size
    if resize is None and default.resize is not None:
        resize = math.ceil(default.resize * max(sides) / max(default.size))
    preprocess = replace(
        default,
        size=sides,
        resize=resize,
        mean=default.mean if mean is None else mean,
        std=default.std if std is None else std,
    )
    file = None if weights is None else str(weights)
    return restore_backbone(BackboneSpec(name, file, tuple(layers), preprocess), network=network)


def restore_backbone(spec: BackboneSpec, *, network: nn.Module | None = None) -> Backbone:
    """Load a network from its specification; ``network`` and errors as in `load_backbone`."""
    weights = None if spec.weights is None else Path(spec.weights)
    if network is not None:
        copied = own_copy(network, spec.name)
        if weights is not None:
            fit_weights(copied, read_weights(weights), str(weights))
        return Backbone(copied, spec)
    if is_import_path(spec.name):
        return Backbone(imported_network(spec.name, weights).float(), spec)
    return Backbone(torchvision_network(spec.name, weights), spec, imagenet_categories(spec.name))
