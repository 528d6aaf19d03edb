"""Exporting a guard with 8-bit networks, and what that costs: false alarms, detection, the network's own answers.

The photographs are split at random: some give the ranges of activations, half of the others calibrate, and the rest
measure. The same guard in float32, calibrated and measured on the same photographs, stands beside it, so that what the
two differ by is the quantisation alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path

import numpy as np
import torch

from simdnn.attacks.attack import predict, run_attack
from simdnn.attacks.fgsm import FGSM
from simdnn.errors import ImageReadError, InputError
from simdnn.evaluation.intervals import Estimate, auroc, rate
from simdnn.evaluation.promise import Promise
from simdnn.guard.calibration_images import images_without_labels
from simdnn.guard.guard import Guard
from simdnn.guard.known import learned_by
from simdnn.guard.recalibrate import Recalibration
from simdnn.guard.verdict import Verdict
from simdnn.images.picture import picture_of
from simdnn.images.reading import read_image
from simdnn.onnx.int8 import Int8Guards
from simdnn.progress import Progress

RANGES = 100
"""Photographs, at most, that give the ranges of activations."""
EPS = 4 / 255
"""Of the attack that the loss of detection is measured by."""
UNREADABLE = 0.05
"""Share of the photographs that may be unreadable."""
_AT_ONCE = 16


@dataclass(frozen=True)
class Measured:
    """A guard on clean images that it has not seen, and on attacked ones.

    Attributes
    ----------
    threshold : score below which it flags
    flagged : share of the clean images flagged
    detected : share of the attacked images flagged; None where there are none
    auroc : area under the ROC curve between both; None for fewer than two attacked images
    promise : whether the clean images flagged contradict the promise; None for a rule without one
    """

    threshold: float
    flagged: Estimate
    detected: Estimate | None
    auroc: Estimate | None
    promise: Promise | None


@dataclass(frozen=True)
class Int8Loss:
    """What 8-bit networks cost a guard.

    Attributes
    ----------
    ranges, calibrated, clean, attacked : numbers of images for the ranges of activations, to calibrate, and to measure
    eps : largest change of a pixel by FGSM, white-box on the network in float32; attacked images that count are those
        that it then classifies otherwise, as 8-bit pictures
    agreement : share of the clean images that both networks classify alike
    before, after : the guard in float32, and with 8-bit networks
    """

    ranges: int
    calibrated: int
    clean: int
    attacked: int
    eps: float
    agreement: Estimate
    before: Measured
    after: Measured

    def check_promise(self) -> None:
        """Raise InputError if the guard with 8-bit networks breaks its promised false-alarm rate."""
        promise = self.after.promise
        if promise is not None and promise.contradicted:
            raise InputError(
                f"with int8 {promise.flagged} of {promise.n} clean images are flagged, by the promise of "
                f"{100 * promise.alpha:g} % at most {promise.most} were to be expected; nothing was written. Give more "
                "photographs, or export without --int8"
            )


def export_int8(
    guard: Guard,
    photos: Path | str,
    path: Path | str,
    *,
    eps: float = EPS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Int8Loss:
    """Write a guard into one ONNX file with its networks quantised to 8 bits, calibrated anew.

    Parameters
    ----------
    guard : with its networks
    photos : folder of clean images, subfolders included, or a CSV file with the column path: best images that neither
        network nor guard has learned
    path : the file; it is replaced if it exists
    eps : of the attack that the loss of detection is measured by
    seed : of the split of the photographs
    progress : called with (done, total)

    Returns
    -------
    Int8Loss
        What was measured; the file has it, too, in its metadata under ``simdnn.int8``.

    Raises
    ------
    InputError
        If there are too few photographs, libraries are missing, a network cannot be exported or quantised, or the clean
        images flagged contradict the promised false-alarm rate; nothing is written then.
    OutputError
        If the file cannot be written.
    """
    images = images_without_labels(Path(photos))
    known = learned_by(guard.extractor.auxiliary, images)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(~known)).tolist()
    first = min(RANGES, len(order) // 5)
    ranges, calibrating, held_out = (
        [images[i] for i in rows] for rows in (order[:first], order[first::2], order[first + 1 :: 2])
    )
    least = ceil(1 / guard.settings.alpha - 1)
    if not ranges or len(held_out) < least:
        raise InputError(
            f"expected at least {max(5, ceil(2.5 * least))} photographs, of which {least} calibrate for a false-alarm "
            f"rate of {100 * guard.settings.alpha:g} %, got {len(order)}; give more"
        )
    steps = _Steps(progress, first + 2 * len(calibrating) + 5 * len(held_out))
    asked = Recalibration(str(photos), calibrating, None, False, UNREADABLE)
    moved = (steps(first), steps(len(calibrating)), steps(len(calibrating)))
    guards = Int8Guards.of(guard, ranges, asked, moved)
    with tempfile.TemporaryDirectory() as folder:
        attacked = _attack(guard, held_out, Path(folder), eps, steps(len(held_out)))
        before, after = (
            _judged(one, held_out, attacked, steps(2 * len(held_out)))
            for one in (guards.before, guards.after)
        )
    pairs = [(a, b) for a, b in zip(before[0], after[0], strict=True) if None not in (a.score, b.score)]
    loss = Int8Loss(
        ranges=len(ranges),
        calibrated=guards.after.training.calibrated,
        clean=len(pairs),
        attacked=len(attacked),
        eps=eps,
        agreement=rate(sum(a.classifier_label == b.classifier_label for a, b in pairs), len(pairs)),
        before=_measured(guards.before, *before),
        after=_measured(guards.after, *after),
    )
    loss.check_promise()
    guards.write(Path(path), asdict(loss))
    return loss


class _Steps:
    """Progress of work in parts, as the progress of the whole."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.given = progress, total, 0

    def __call__(self, n: int) -> Progress | None:
        """Return what is called with (done, total) of the next part, which has n steps."""
        progress, before = self.progress, self.given
        self.given += n
        return None if progress is None else lambda done, _: progress(before + min(done, n), self.total)


def _attack(
    guard: Guard, paths: Sequence[Path], folder: Path, eps: float, progress: Progress | None
) -> list[Path]:
    """Attack images away from the network's own answers; keep those that it then classifies otherwise, as files."""
    network, preprocess = guard.classifier, guard.networks[0].spec.preprocess
    kept: list[Path] = []
    for start in range(0, len(paths), _AT_ONCE):
        images = []
        for path in paths[start : start + _AT_ONCE]:
            try:
                images.append(preprocess(read_image(path)))
            except ImageReadError:
                continue  # it is said when it is judged
        if images:
            pixels = torch.stack(images)
            result = run_attack(FGSM(eps), network, pixels, predict(network, pixels))
            for image in result.images_8bit[result.success_8bit]:
                kept.append(folder / f"{len(kept):06}.png")
                picture_of(image).save(kept[-1])
        if progress is not None:
            progress(start + _AT_ONCE, len(paths))
    return kept


def _judged(
    guard: Guard, clean: Sequence[Path], attacked: Sequence[Path], progress: Progress | None
) -> tuple[list[Verdict], list[Verdict]]:
    """Judge clean and attacked images in one run."""
    found = list(guard.check([*clean, *attacked], progress=progress))
    return found[: len(clean)], found[len(clean) :]


def _measured(guard: Guard, *groups: list[Verdict]) -> Measured:
    """Count the verdicts on clean and on attacked images; those that could not be judged are left out."""
    clean, attacked = ([one for one in group if one.score is not None] for group in groups)
    flagged, detected = (sum(one.verdict == "attack" for one in group) for group in (clean, attacked))
    promise = None
    if clean[0].p_value is not None:
        promise = Promise.test(guard.settings.alpha, guard.training.calibrated, len(clean), flagged)
    scores = [np.array([one.score for one in group], dtype=np.float64) for group in (clean, attacked)]
    return Measured(
        threshold=guard.threshold(),
        flagged=rate(flagged, len(clean)),
        detected=rate(detected, len(attacked)) if attacked else None,
        auroc=auroc(*scores) if len(attacked) > 1 else None,
        promise=promise,
    )
