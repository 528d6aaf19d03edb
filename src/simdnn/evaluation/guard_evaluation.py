"""Measuring a guard on a user's own images: false alarms on clean ones, and detection of attacked ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simdnn.arrays import FloatArray
from simdnn.errors import InputError
from simdnn.evaluation.intervals import Estimate, auroc, rate
from simdnn.evaluation.promise import Promise
from simdnn.guard.guard import Guard
from simdnn.guard.verdict import Verdict
from simdnn.images.files import find_images
from simdnn.paper.equations import judged_rightly
from simdnn.progress import Progress


@dataclass(frozen=True)
class Images:
    """The images of one folder with their verdicts.

    Attributes
    ----------
    folder : as it was given
    attacked : whether its images are attacked ones
    verdicts : of the images that could be read
    truth : true label of each; None where the images do not lie in subfolders named as the guard's classes
    unreadable : verdicts of the others
    known : images left out because they calibrate the guard
    """

    folder: str
    attacked: bool
    verdicts: tuple[Verdict, ...]
    truth: tuple[str, ...] | None
    unreadable: tuple[Verdict, ...]
    known: int

    @property
    def scores(self) -> FloatArray:
        """(N,) scores; high is clean."""
        return np.array([verdict.score for verdict in self.verdicts], dtype=np.float64)

    @property
    def flagged(self) -> list[bool]:
        """Whether each image is flagged as a possible attack."""
        return [verdict.verdict == "attack" for verdict in self.verdicts]


@dataclass(frozen=True)
class Rates:
    """What was counted in one folder; shares in [0, 1] with 95 % intervals.

    Attributes
    ----------
    folder, attacked : of the images
    n, unreadable, known : images counted, not readable, and left out because they calibrate the guard
    flagged : share flagged: false alarms where the images are clean, else detections
    detected : share judged rightly, eq. (14); None without true labels
    label_correct : share that Sim-DNN labels correctly; None without true labels
    auroc : area under the ROC curve against the clean images; None for these, and for fewer than two images
    """

    folder: str
    attacked: bool
    n: int
    unreadable: int
    known: int
    flagged: Estimate
    detected: Estimate | None
    label_correct: Estimate | None
    auroc: Estimate | None


@dataclass(frozen=True)
class GuardEvaluation:
    """A guard measured.

    Attributes
    ----------
    model_id : of the guard
    rule, threshold : that decided
    alpha : false-alarm rate promised; None for the published rule, which promises none
    calibration_scores : (k,) of the clean images that set the threshold
    clean, attacked : images with their verdicts
    rates : of the clean images, then of each folder of attacked ones
    promise : whether the false alarms contradict it; None where there is none
    """

    model_id: str
    rule: str
    threshold: float
    alpha: float | None
    calibration_scores: FloatArray
    clean: Images
    attacked: tuple[Images, ...]
    rates: tuple[Rates, ...]
    promise: Promise | None

    def as_dict(self) -> dict[str, Any]:
        """Return what was measured as plain values, ready for JSON."""
        return {
            "model_id": self.model_id,
            "rule": self.rule,
            "threshold": self.threshold,
            "alpha": self.alpha,
            "calibrated": len(self.calibration_scores),
            "images": [_plain(rates) for rates in self.rates],
            "promise": None
            if self.promise is None
            else asdict(self.promise) | {"sentence": self.promise.sentence},
        }


def evaluate_guard(
    guard: Guard,
    clean: Path,
    attacked: Sequence[Path] = (),
    *,
    rule: str | None = None,
    alpha: float | None = None,
    progress: Progress | None = None,
) -> GuardEvaluation:
    """Measure a guard.

    Parameters
    ----------
    guard : the guard
    clean : folder of clean images that it has not learned
    attacked : folders of attacked images
    rule, alpha : in place of those the guard was fitted with
    progress : called with (done, total) over all folders

    Raises
    ------
    InputError
        As for :meth:`simdnn.guard.guard.Guard.check`, or if no image of a folder can be counted.
    """
    folders = [clean, *attacked]
    paths = [find_images([folder]) for folder in folders]
    total, done = sum(map(len, paths)), 0
    own = guard.rule_named(rule)
    promises = guard.settings.alpha if alpha is None else alpha
    threshold = guard.threshold(rule, alpha=alpha)
    groups: list[Images] = []
    for folder, files in zip(folders, paths, strict=True):

        def moved(count: int, _: int, before: int = done) -> None:
            if progress is not None:
                progress(before + count, total)

        verdicts = list(guard.check(files, rule=rule, alpha=alpha, progress=moved))
        known = () if groups else guard.calibration.image_sha256
        groups.append(_images(folder, bool(groups), verdicts, guard.classes, frozenset(known)))
        done += len(files)
    first = groups[0]
    promised = None
    if first.verdicts[0].p_value is not None:
        calibrated = int(guard.calibration.clean.sum())
        promised = Promise.test(promises, calibrated, len(first.verdicts), sum(first.flagged))
    return GuardEvaluation(
        model_id=guard.model_id,
        rule=own.name,
        threshold=threshold,
        alpha=None if promised is None else promises,
        calibration_scores=own.calibration_scores()[guard.calibration.clean],
        clean=first,
        attacked=tuple(groups[1:]),
        rates=tuple(_rates(group, first) for group in groups),
        promise=promised,
    )


def _images(
    folder: Path, attacked: bool, verdicts: list[Verdict], classes: Sequence[str], known: frozenset[str]
) -> Images:
    """Sort verdicts of a folder into those that count and others."""
    readable = [v for v in verdicts if v.verdict != "error"]
    counted = [v for v in readable if v.image_sha256 not in known]
    if not counted:
        why = f"{len(readable)} calibrate the guard" if readable else "none of them can be read"
        raise InputError(
            f"expected images to count in {folder}, got {len(verdicts)}, of which {why}; give others"
        )
    labels = [_subfolder(Path(v.path), folder) for v in counted]
    return Images(
        folder=str(folder),
        attacked=attacked,
        verdicts=tuple(counted),
        truth=tuple(labels) if set(labels) <= set(classes) else None,
        unreadable=tuple(v for v in verdicts if v.verdict == "error"),
        known=len(readable) - len(counted),
    )


def _subfolder(path: Path, folder: Path) -> str:
    """Name the subfolder of the folder that an image lies in; empty for none."""
    parts = path.relative_to(folder).parts if path.is_relative_to(folder) else ()
    return parts[0] if len(parts) > 1 else ""


def _rates(images: Images, clean: Images) -> Rates:
    n, flagged = len(images.verdicts), images.flagged
    detected = label_correct = None
    if images.truth is not None:
        correct = [v.label == truth for v, truth in zip(images.verdicts, images.truth, strict=True)]
        detected = rate(int(judged_rightly(images.attacked, flagged, correct).sum()), n)
        label_correct = rate(sum(correct), n)
    enough = images.attacked and min(n, len(clean.verdicts)) > 1
    return Rates(
        folder=images.folder,
        attacked=images.attacked,
        n=n,
        unreadable=len(images.unreadable),
        known=images.known,
        flagged=rate(sum(flagged), n),
        detected=detected,
        label_correct=label_correct,
        auroc=auroc(clean.scores, images.scores) if enough else None,
    )


def _plain(rates: Rates) -> dict[str, Any]:
    values = {name: getattr(rates, name) for name in rates.__dataclass_fields__}
    return {name: v._asdict() if isinstance(v, Estimate) else v for name, v in values.items()}
