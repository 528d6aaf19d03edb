"""What a guard was fitted on, and the images that it cannot be fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simdnn.errors import InputError
from simdnn.networks.batch import Batch


@dataclass(frozen=True)
class Training:
    """What a guard was fitted on.

    Attributes
    ----------
    data : the folder or list it was given
    learned, calibrated : images learned, and images held out to calibrate the threshold
    known : images that the auxiliary network learned, which were kept out of calibration
    unreadable : names of the files that were skipped
    seed : of the draws
    created : time, ISO 8601 in UTC
    """

    data: str
    learned: int
    calibrated: int
    known: int
    unreadable: tuple[str, ...]
    seed: int
    created: str


def check_readable(paths: Sequence[Path], labels: Sequence[str], found: Batch, limit: float) -> None:
    """Raise InputError if too many images could not be read, or all of a class, or the network fails on one.

    Parameters
    ----------
    paths, labels : of all images
    found : what came of them
    limit : share that may be unreadable
    """
    if len(found.errors) > limit * len(paths):
        first = [f"{paths[i]}: {reason}" for i, reason in sorted(found.errors.items())[:5]]
        raise InputError(
            f"{len(found.errors)} of {len(paths)} files cannot be read, more than the {limit:.0%} allowed; "
            f"remove them or allow more. The first: {'; '.join(first)}"
        )
    lost = sorted(set(labels) - {labels[i] for i in found.positions})
    if lost:
        raise InputError(
            f"no file can be read of the class {', '.join(lost)}; replace its files or remove it"
        )
    broken = np.unique(found.positions[~np.isfinite(found.features).all(axis=1)])
    if len(broken):
        raise InputError(
            f"the network gives missing or infinite features for {len(broken)} images, such as {paths[broken[0]]}; "
            "check its weights, its normalisation and the layers"
        )
