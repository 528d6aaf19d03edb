"""Baselines: detectors by other authors, evaluated on the same images as Sim-DNN.

There is one file per detector or family of detectors. This file has only their names, and imports none of them.
"""

from collections.abc import Mapping

BASELINES: Mapping[str, str] = {
    "msp": "simdnn.evaluation.baselines.classic:MSP",
    "energy": "simdnn.evaluation.baselines.classic:Energy",
    "mahalanobis": "simdnn.evaluation.baselines.classic:MahalanobisLast",
    "mahalanobis-multi": "simdnn.evaluation.baselines.classic:MahalanobisLayers",
    "rmd": "simdnn.evaluation.baselines.classic:RelativeMahalanobis",
    "knn": "simdnn.evaluation.baselines.classic:NearestNeighbours",
    "vim": "simdnn.evaluation.baselines.classic:VirtualLogit",
    "kde": "simdnn.evaluation.baselines.kde:KDE",
    "lid": "simdnn.evaluation.baselines.lid:LID",
    "squeezing": "simdnn.evaluation.baselines.squeezing:FeatureSqueezing",
    "neighbours": "simdnn.evaluation.baselines.neighbours:Neighbours",
}
"""Import path of each baseline by the name that plans use, in the order of tables."""
