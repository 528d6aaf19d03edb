"""Networks whose weights are among the data."""

from __future__ import annotations

from pathlib import Path

from simdnn.networks.backbone import Backbone, load_backbone

HALF = (0.5, 0.5, 0.5)
NETWORKS = {"mobilenet_v2": HALF, "resnet18": None, "squeezenet1_1": None}
"""Networks with local weights, and their mean and standard deviation, if not ImageNet's."""


def network(name: str, data: Path) -> Backbone:
    """Return a network with its local weights."""
    mean = NETWORKS[name]
    return load_backbone(name, data / "weights" / f"{name}.safetensors", mean=mean, std=mean)
