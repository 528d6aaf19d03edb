"""Learning the classes in parallel on a Ray cluster; the result is that of one process, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import IntArray
from simdnn.paper.learning import ClassModel, learn, learning_order
from simdnn.paper.model import SimilarityModel
from simdnn.paper.prototypes import PrototypeSet, SigmaKind
from simdnn.paper.scaling import FeatureRange

Share = tuple[list[str], list[IntArray], NDArray[Any]]
"""Some classes: their names, for each the index of its samples among all, and these samples class after class."""


def learn_on_ray(
    features: NDArray[np.floating],
    labels: NDArray[np.str_],
    *,
    sigma: SigmaKind = "shared",
    shuffle: bool = False,
    seed: int = 0,
    tasks: int = 1,
) -> SimilarityModel:
    """Learn as :meth:`simdnn.paper.model.SimilarityModel.learn` does, with the classes shared out over ``tasks``."""
    import ray

    names = [str(name) for name in np.unique(labels)]
    rows = {name: np.flatnonzero(labels == name) for name in names}
    if shuffle:
        rows = {name: learning_order(name, own, 0, seed) for name, own in rows.items()}
    largest_first = sorted(names, key=lambda name: -len(rows[name]))
    parts = [largest_first[task::tasks] for task in range(tasks)]
    shares = [
        ray.put((part, [rows[name] for name in part], features[np.concatenate([rows[n] for n in part])]))
        for part in parts
        if part
    ]
    ranges = ray.get([ray.remote(_range).remote(share) for share in shares])
    scaling = FeatureRange(
        np.minimum.reduce([low for low, _ in ranges]), np.maximum.reduce([high for _, high in ranges])
    )
    prototypes = PrototypeSet(features.shape[1], sigma)
    learned: dict[str, ClassModel] = {}
    for some in ray.get([ray.remote(_learn).remote(share, scaling) for share in shares]):
        learned |= some
    prototypes.classes = {name: learned[name] for name in names}
    return SimilarityModel(scaling, prototypes)


def _range(share: Share) -> tuple[NDArray[Any], NDArray[Any]]:
    return share[2].min(axis=0), share[2].max(axis=0)


def _learn(share: Share, scaling: FeatureRange) -> dict[str, ClassModel]:
    names, indices, samples = share
    ends = np.cumsum([len(own) for own in indices])
    learned = {}
    for name, own, end in zip(names, indices, ends.tolist(), strict=True):
        model = ClassModel.empty(samples.shape[1])
        learned[name] = learn(model, samples, own, np.arange(end - len(own), end), scaling)
    return learned
