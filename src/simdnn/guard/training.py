"""What a guard was fitted on, and the images that it cannot be fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simdnn.errors import InputError
from simdnn.networks.batch import Batch

HELD_OUT = "held out of the images learned"
"""What calibrates where the images come from the folder that was learned."""


def other_images(data: object) -> str:
    """Say that images from elsewhere calibrate, and where they lay."""
    return f"other images: {data}"


@dataclass(frozen=True)
class Training:
    """What a guard was fitted on.

    Attributes
    ----------
    data : the folder or list it was given
    learned, calibrated : images learned, and images that calibrate the threshold
    unreadable : names of the files that were skipped
    seed : of the draws
    created : time, ISO 8601 in UTC
    calibrated_on : which images calibrate: held out of those learned, or others and where they lay
    left_out : images that were to calibrate and do not, since they are known: learned, or calibrating already
    recalibrated : time of the last calibration, ISO 8601 in UTC; None where it is that of fitting
    known : images that the auxiliary network learned, which were kept out of calibration
    """

    data: str
    learned: int
    calibrated: int
    unreadable: tuple[str, ...]
    seed: int
    created: str
    calibrated_on: str = HELD_OUT
    left_out: int = 0
    recalibrated: str | None = None
    known: int = 0

    def with_calibration(
        self,
        calibrated: int,
        calibrated_on: str,
        *,
        left_out: int,
        known: int,
        unreadable: tuple[str, ...],
        time: str,
    ) -> Training:
        """Return the same with another calibration; files that were not readable come after the earlier ones."""
        return replace(
            self,
            calibrated=calibrated,
            calibrated_on=calibrated_on,
            left_out=left_out,
            known=known,
            unreadable=self.unreadable + unreadable,
            recalibrated=time,
        )


def check_readable(paths: Sequence[Path], labels: Sequence[str], found: Batch, limit: float) -> None:
    """Raise InputError if too many images could not be read, or all of a class, or the network fails on one.

    Parameters
    ----------
    paths, labels : of all images; a label is empty where none is needed
    found : what came of them
    limit : share that may be unreadable
    """
    if len(found.errors) > limit * len(paths):
        first = [f"{paths[i]}: {reason}" for i, reason in sorted(found.errors.items())[:5]]
        raise InputError(
            f"{len(found.errors)} of {len(paths)} files cannot be read, more than the {limit:.0%} allowed; "
            f"remove them or allow more. The first: {'; '.join(first)}"
        )
    lost = sorted(set(labels) - {labels[i] for i in found.positions} - {""})
    if lost:
        raise InputError(
            f"no file can be read of the class {', '.join(lost)}; replace its files or remove it"
        )
    for what, values in (("features", found.features), ("outputs", found.logits)):
        broken = np.unique(found.positions[~np.isfinite(values).all(axis=1)])
        if len(broken):
            raise InputError(
                f"the network gives missing or infinite {what} for {len(broken)} images, such as {paths[broken[0]]}; "
                "check its weights, its normalisation and the layers"
            )
