"""What a detector of attacked images is, to the benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from simdnn.arrays import FloatArray
from simdnn.networks.backbone import Backbone


@dataclass(frozen=True)
class Observation:
    """What one pass of the protected network over N images gave.

    Attributes
    ----------
    pixels : (N, 3, H, W) in [0, 1], float32, on the CPU, at the network's own size
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


class Detector(Protocol):
    """Learns from clean images alone, and scores others; the protected network has run already.

    Attributes
    ----------
    name : as it stands in tables, such as ``"kNN"``
    paper : authors, title and year of what it follows, and where it departs from that
    """

    name: ClassVar[str]
    paper: ClassVar[str]

    def fit(self, network: Backbone, clean: Observation, labels: NDArray[np.int64]) -> None:
        """Learn from N clean images.

        Parameters
        ----------
        network : the protected network, for detectors that look at changed images as well
        clean : what the network said of the images
        labels : (N,) true classes, 0 to C - 1 in the sorted order of the classes' names; these need not be the
            network's outputs
        """
        ...

    def score(self, network: Backbone, images: Observation) -> FloatArray:
        """Return (N,) scores; high is clean. No score depends on the other images."""
        ...
