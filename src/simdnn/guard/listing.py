"""Which images a guard is fitted on, and which of them calibrate: known before any is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simdnn.errors import InputError
from simdnn.guard.calibration_images import images_without_labels
from simdnn.guard.settings import Settings
from simdnn.images.files import labelled_images
from simdnn.images.names import ClassNames
from simdnn.paper.holdout import calibration_mask, held_out
from simdnn.rules.registry import find_rule
from simdnn.rules.rule import Rule


@dataclass(frozen=True)
class TrainingImages:
    """Images: ``paths``; ``labels`` (N,), empty where none is needed; ``calibrate`` (N,), True for those that do."""

    paths: list[Path]
    labels: NDArray[np.str_]
    calibrate: NDArray[np.bool_]


def training_images(
    data: Path,
    settings: Settings,
    calibration: float,
    calibrate_on: Path | None = None,
    names: ClassNames | None = None,
) -> TrainingImages:
    """List the images of a folder or a CSV file, and draw those that calibrate, or take them from elsewhere.

    Parameters
    ----------
    data : as for :func:`simdnn.images.files.labelled_images`
    settings : rule, alpha and seed
    calibration : share of each class that is held out
    calibrate_on : folder or CSV file of the images that calibrate instead
    names : names of the classes in place of those of their folders

    Raises
    ------
    InputError
        If the images cannot be listed, a folder has no name, or too few would calibrate the threshold.
    """
    held_out("", 0, 0, calibration, 0)  # InputError for a share that cannot be
    paths, folders = labelled_images(data)
    if calibrate_on is None:
        return drawn(paths, folders, settings, calibration, names)
    labels = np.array(folders if names is None else names.labels(folders))
    promises = _promises(settings)
    others = images_without_labels(calibrate_on)
    alpha, n = settings.alpha, len(others)
    if promises and n < needed_for(alpha):
        raise InputError(
            f"expected at least {needed_for(alpha)} images in {calibrate_on} to calibrate a false-alarm rate of "
            f"{alpha}, got {n}; give more, or ask for an alpha of {1 / (n + 1):.3g} or more"
        )
    calibrate = np.arange(len(paths) + len(others)) >= len(paths)
    return TrainingImages([*paths, *others], np.array([*labels, *[""] * len(others)]), calibrate)


def drawn(
    paths: list[Any],
    folders: Sequence[str],
    settings: Settings,
    calibration: float,
    names: ClassNames | None = None,
) -> TrainingImages:
    """Draw those of listed images that calibrate; parameters and errors of `training_images`."""
    labels = np.array(folders if names is None else names.labels(list(folders)))
    calibrate = calibration_mask(labels, calibration, settings.seed)
    if _promises(settings):
        _check_enough(labels, int(calibrate.sum()), settings.alpha, calibration)
    return TrainingImages(paths, labels, calibrate)


def _promises(settings: Settings) -> bool:
    """Tell whether the rule promises a rate of false alarms: the published one does not."""
    return find_rule(settings.rule).threshold is Rule.threshold


def needed_for(alpha: float) -> int:
    """Return how many images must calibrate a false-alarm rate: n can promise 1 / (n + 1)."""
    return ceil(min(1 / alpha, 1e18) - 1e-9) - 1


def _check_enough(labels: NDArray[np.str_], found: int, alpha: float, calibration: float) -> None:
    """Refuse too few images for alpha, and say how many photographs it takes in all."""
    needed = needed_for(alpha)
    if found >= needed:
        return
    if calibration == 0:
        raise InputError(
            f"expected a share of the images to calibrate a false-alarm rate of {alpha}, got a share of 0; 0.2 is usual"
        )
    classes = len(np.unique(labels))
    each = ceil(ceil(needed / classes) / calibration - 1e-9)
    lower = f", or ask for an alpha of {1 / (found + 1):.3g} or more" if found else ""
    raise InputError(
        f"expected {needed} images that calibrate a false-alarm rate of {alpha}, got {found}, a share of {calibration} "
        f"of {len(labels)}; give at least {each} photographs of each class, {classes * each} in all{lower}"
    )
