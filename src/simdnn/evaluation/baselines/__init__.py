"""Detectors that others have proposed, on the same images as ours."""

from collections.abc import Callable, Mapping

from simdnn.evaluation.baselines.classic import (
    MSP,
    Energy,
    MahalanobisLast,
    MahalanobisLayers,
    NearestNeighbours,
    RelativeMahalanobis,
    VirtualLogit,
)
from simdnn.evaluation.baselines.detector import Detector, Observation
from simdnn.evaluation.baselines.kde import KDE
from simdnn.evaluation.baselines.lid import LID
from simdnn.evaluation.baselines.neighbours import Neighbours
from simdnn.evaluation.baselines.observe import middle_layers, observe
from simdnn.evaluation.baselines.squeezing import FeatureSqueezing

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
