"""Calibrating a guard anew, for another camera for instance, without fitting it again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simdnn.guard.calibration_images import corrupted_copies, without_known
from simdnn.guard.settings import Settings
from simdnn.guard.state import GuardState
from simdnn.guard.training import check_readable, other_images
from simdnn.networks.image_stream import ImageStream
from simdnn.progress import Progress
from simdnn.rules.calibration import CalibrationSet
from simdnn.rules.registry import find_rule


@dataclass(frozen=True)
class Recalibration:
    """What a recalibration is asked for; see :meth:`simdnn.guard.guard.Guard.recalibrate`."""

    name: str
    images: Sequence[Path]
    alpha: float | None
    add: bool
    max_unreadable: float


def recalibrated(
    state: GuardState,
    asked: Recalibration,
    stream: ImageStream,
    learned: Collection[str],
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return the parts of a guard that differ once it is calibrated on other images: one pass over these.

    What the rule learned of clean images stays as it is. It only decides what the scores measure: a conformal threshold
    keeps its promise for any score that is fixed before the calibration images are drawn, and would lose it if the same
    images shaped the score as well.

    Parameters
    ----------
    state : the guard
    asked : which images, and for what
    stream : what runs images through the guard's networks
    learned : SHA-256 of the files that the auxiliary network has learned, which must not calibrate
    progress : called with (done, total)
    """
    before, rule = state.settings, state.rule
    alpha = before.alpha if asked.alpha is None else asked.alpha
    settings = Settings(before.rule, alpha, before.m, before.sigma, before.seed)
    paths = list(asked.images)
    copies = corrupted_copies(range(len(paths)), before.seed) if rule.learns_corruptions else {}
    batch = stream.extract(paths, progress, views=rule.views, draws=state.draws(rule), copies=copies)
    check_readable(paths, [""] * len(paths), batch, asked.max_unreadable)
    new, known = without_known(batch, learned)
    new, left_out = without_known(new, state.calibration.image_sha256 if asked.add else (), state.learned)
    calibration = CalibrationSet.of(new)
    if asked.add:
        calibration = state.calibration.joined(calibration)
    made = find_rule(before.rule)(state.model, calibration, rule.views).restore(*rule.state())
    made.threshold(alpha=settings.alpha, m=settings.m)  # InputError if there are too few images
    calibrated_on = other_images(asked.name)
    if asked.add:
        calibrated_on = f"{state.training.calibrated_on}; {calibrated_on}"
    training = state.training.with_calibration(
        int(calibration.clean.sum()),
        calibrated_on,
        left_out=left_out,
        known=known + (state.training.known if asked.add else 0),
        unreadable=tuple(str(paths[i]) for i in sorted(batch.errors)),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return {"settings": settings, "calibration": calibration, "rule": made, "training": training}
