"""The images a guard is fitted on: which could be read, which calibrate, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from simdnn.errors import InputError
from simdnn.networks.extractor import Extraction
from simdnn.paper.holdout import held_out


@dataclass(frozen=True)
class Training:
    """What a guard was fitted on.

    Attributes
    ----------
    data : the folder or list it was given
    learned, calibrated : images learned, and images held out to calibrate the threshold
    unreadable : names of the files that were skipped
    seed : of the draws
    created : time, ISO 8601 in UTC
    """

    data: str
    learned: int
    calibrated: int
    unreadable: tuple[str, ...]
    seed: int
    created: str

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Make it again from its fields after a journey through JSON; ValueError if one is of another type."""
        made = cls(**{**plain, "unreadable": tuple(plain["unreadable"])})
        texts, numbers = (
            (made.data, made.created, *made.unreadable),
            (made.learned, made.calibrated, made.seed),
        )
        if not all(isinstance(text, str) for text in texts) or not all(type(n) is int for n in numbers):
            raise ValueError("expected texts and whole numbers about the training")
        return made


def calibrating(labels: NDArray[np.str_], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Mark the images held out of learning, a stratified share."""
    mask = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        (rows,) = np.nonzero(labels == label)
        mask[rows] = held_out(str(label), 0, len(rows), fraction, seed)
    return mask


def check_readable(paths: Sequence[Path], labels: Sequence[str], found: Extraction, limit: float) -> None:
    """Raise InputError if too many images could not be read, or all of a class, or the network fails on one.

    Parameters
    ----------
    paths, labels : of all images
    found : what came of them
    limit : share that may be unreadable
    """
    if len(found.errors) > limit * len(paths):
        first = [f"{paths[i]}: {reason}" for i, reason in list(found.errors.items())[:5]]
        raise InputError(
            f"{len(found.errors)} of {len(paths)} files cannot be read, more than the {limit:.0%} allowed; "
            f"remove them or allow more. The first: {'; '.join(first)}"
        )
    lost = sorted(set(labels) - {labels[i] for i in found.index})
    if lost:
        raise InputError(
            f"no file can be read of the class {', '.join(lost)}; replace its files or remove it"
        )
    broken = found.index[~np.isfinite(found.features).all(axis=1)]
    if len(broken):
        raise InputError(
            f"the network gives missing or infinite features for {len(broken)} images, such as {paths[broken[0]]}; "
            "check its weights, its normalisation and the layers"
        )
