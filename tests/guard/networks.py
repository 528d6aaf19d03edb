"""Small networks that the tests guard."""

from __future__ import annotations

from pathlib import Path

from simdnn.digits import IN_UNITS
from simdnn.networks.backbone import Backbone, load_backbone
from simdnn.networks.digits import SIDE, DigitsNet

NAME = "simdnn.networks.digits:digits_network"


def digits_backbone(digits: Path, layers: tuple[str, ...] = ()) -> Backbone:
    """Make the network of the fixture ``digits``."""
    weights = digits / "weights.safetensors"
    return load_backbone(NAME, weights, layers, size=SIDE, mean=IN_UNITS.mean, std=IN_UNITS.std)


def handed_over(network: DigitsNet, name: str = "mine") -> Backbone:
    """Make a backbone of a network at hand."""
    return load_backbone(name, network=network, size=SIDE, mean=IN_UNITS.mean, std=IN_UNITS.std)
