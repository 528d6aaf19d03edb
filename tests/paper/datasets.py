"""Real and random feature matrices that the tests of the core share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.preprocessing import minmax_scale

Table = tuple[NDArray[np.float64], NDArray[np.int64]]

LOADERS = {"digits": load_digits, "iris": load_iris, "wine": load_wine, "cancer": load_breast_cancer}


def real(name: str) -> Table:
    """A data set of scikit-learn's, each feature in [0, 1], its samples shuffled; digits keep 800."""
    samples, labels = LOADERS[name](return_X_y=True)
    order = np.random.default_rng(0).permutation(len(samples))[:800]
    return minmax_scale(samples)[order], labels[order]


def random(width: int, seed: int = 0, count: int = 240, classes: int = 3) -> Table:
    """Gaussian classes around random centres, of unequal breadth."""
    rng = np.random.default_rng([seed, width])
    labels = rng.integers(classes, size=count)
    centres, breadth = rng.normal(scale=2.0, size=(classes, width)), rng.uniform(0.5, 1.5, classes)
    return centres[labels] + breadth[labels, None] * rng.normal(size=(count, width)), labels


TABLES = {name: real(name) for name in LOADERS} | {f"random {n}": random(n) for n in (1, 2, 17, 300)}
