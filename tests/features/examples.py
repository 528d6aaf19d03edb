"""Shards of scikit-learn's digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits


def digits() -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    samples, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(samples))
    return samples[order].astype(np.float32), np.array([f"digit {label}" for label in labels[order]])


def write_npy(folder: Path, samples: NDArray[np.floating], labels: NDArray[np.str_], parts: int = 3) -> Path:
    folder.mkdir()
    pieces = zip(np.array_split(samples, parts), np.array_split(labels, parts), strict=True)
    for number, (some, own) in enumerate(pieces):
        np.save(folder / f"part-{number}.npy", some)
        np.save(folder / f"part-{number}.labels.npy", own)
    return folder
