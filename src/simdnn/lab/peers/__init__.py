"""Detectors that others have proposed, on the same images as ours."""

from collections.abc import Callable, Mapping

from simdnn.lab.peers.classic import (
    MSP,
    Energy,
    MahalanobisLast,
    MahalanobisLayers,
    NearestNeighbours,
    RelativeMahalanobis,
    VirtualLogit,
)
from simdnn.lab.peers.detector import Detector, Observation
from simdnn.lab.peers.kde import KDE
from simdnn.lab.peers.lid import LID
from simdnn.lab.peers.neighbours import Neighbours
from simdnn.lab.peers.observe import middle_layers, observe
from simdnn.lab.peers.squeezing import FeatureSqueezing

PEERS: Mapping[str, Callable[[], Detector]] = {
    "msp": MSP,
    "energy": Energy,
    "mahalanobis": MahalanobisLast,
    "mahalanobis-multi": MahalanobisLayers,
    "rmd": RelativeMahalanobis,
    "knn": NearestNeighbours,
    "vim": VirtualLogit,
    "kde": KDE,
    "lid": LID,
    "squeezing": FeatureSqueezing,
    "neighbours": Neighbours,
}
"""By the name that plans use, in the order of tables."""

__all__ = ["PEERS", "Detector", "Observation", "middle_layers", "observe"]
