"""Fitting a guard: every image is read once, and its views and its corrupted copy leave the networks with it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from secrets import randbits
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simdnn.errors import InputError
from simdnn.guard.agreement import doubt, output_names
from simdnn.guard.calibration_images import corrupted_copies, image_numbers, without_known
from simdnn.guard.exemplars import Exemplar, exemplar
from simdnn.guard.known import learned_by, learned_hashes, without_learned
from simdnn.guard.listing import TrainingImages, training_images
from simdnn.guard.settings import Settings
from simdnn.guard.state import GuardState
from simdnn.guard.training import HELD_OUT, Training, check_readable, other_images
from simdnn.images.names import ClassNames
from simdnn.images.shifts import Shift
from simdnn.networks.auxiliary_record import AuxiliaryRecord
from simdnn.networks.batch import Batch
from simdnn.networks.draws import Draws
from simdnn.networks.extractor import Extractor
from simdnn.networks.prepare import Copy
from simdnn.networks.record import NetworkRecord
from simdnn.paper.model import SimilarityModel
from simdnn.progress import Progress
from simdnn.rules.calibration import CalibrationSet
from simdnn.rules.inputs import RuleInput
from simdnn.rules.registry import REFERENCE, find_draws, find_rule
from simdnn.rules.rule import LearnedImages

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fit:
    """What a fit is asked for; see :meth:`simdnn.guard.guard.Guard.fit`."""

    data: Path
    settings: Settings
    level: str
    calibration: float
    calibrate_on: Path | None
    view_seed: int | None = field(repr=False)
    shuffle: bool
    max_unreadable: float
    draws: int | None = None
    names: ClassNames | None = None


def fit_state(
    fit: Fit,
    extractor: Extractor,
    progress: Progress | None = None,
    *,
    images: TrainingImages | None = None,
    learn: Callable[..., SimilarityModel] = SimilarityModel.learn,
    shown: Callable[[Any], Exemplar] = lambda file: exemplar(file, file.name),
) -> GuardState:
    """Learn all that a guard knows from a folder of clean images, and from another that calibrates, if there is one.

    Parameters
    ----------
    fit, extractor, progress : what is asked for, the networks, and what is called with (done, total)
    images : images in place of those that ``fit.data`` names, of whatever the extractor reads
    learn : learns features; signature and result of :meth:`simdnn.paper.model.SimilarityModel.learn`
    shown : makes an exemplar of an image
    """
    settings, seed = fit.settings, fit.settings.seed
    kind, n_draws = find_rule(settings.rule), find_draws(fit.level)
    if extractor.auxiliary is not None and not kind.uses_auxiliary:
        raise InputError(f"an auxiliary network has no part in the rule {settings.rule!r}; leave it out")
    if extractor.auxiliary is None and kind.uses_auxiliary:
        raise InputError(f"the rule {settings.rule!r} needs an auxiliary network; give one, or another rule")
    images = images or training_images(fit.data, settings, fit.calibration, fit.calibrate_on, fit.names)
    paths, names, out = images.paths, images.labels, images.calibrate
    learned_before = learned_by(extractor.auxiliary, paths)
    known = 0
    if fit.calibrate_on is None:
        out, known = without_learned(out, learned_before, names, seed), int(learned_before.sum())
    protected = extractor.backbones[0]
    outputs = output_names(fit.names, protected.categories, names[names != ""], protected.n_classes)
    run = _RunState(fit, extractor, paths)
    view_seed = run.view_seed()
    views = kind.draw_views(fit.level, view_seed)
    draws = None
    if kind.uses_auxiliary:
        draws = Draws(_draws_secret(view_seed), fit.draws or n_draws)

    learned = np.flatnonzero(~out)
    reference = learned
    if views:
        reference = np.sort(np.random.default_rng(seed).permutation(learned)[:REFERENCE])
    elif draws is not None:
        reference = learned[:0]  # a rule without views looks at none of it, and draws take time
    copies = corrupted_copies(np.flatnonzero(out), seed) if kind.learns_corruptions else {}
    compared = np.sort(np.concatenate([np.flatnonzero(out), reference]))
    rest = np.setdiff1d(np.arange(len(paths)), compared)
    seen = _extract(
        extractor, paths, compared, len(paths), progress, 0, views, _view_key(view_seed, views), draws, copies
    )
    plain = Batch.joined(
        [seen.without_views(), _extract(extractor, paths, rest, len(paths), progress, len(compared))]
    ).in_order()
    check_readable(paths, names.tolist(), plain, fit.max_unreadable)

    teaching = plain.take(np.flatnonzero(~plain.corrupted & ~out[plain.positions]))
    model = learn(
        teaching.features,
        names[teaching.positions],
        sigma=settings.sigma,
        shuffle=fit.shuffle,
        seed=seed,
    )
    files = [paths[i] for i in teaching.positions]
    # A photograph that lies twice in the folder calibrates as it did; one that was learned is none from elsewhere.
    taught = () if fit.calibrate_on is None else teaching.image_sha256
    calibrating, left_out = without_known(seen.take(np.flatnonzero(out[seen.positions])), taught)
    calibrating, more_known = without_known(calibrating, learned_hashes(extractor.auxiliary))
    calibration = CalibrationSet.of(calibrating)
    rule = kind(model, calibration, views)
    exemplars = teaching.positions[[p.exemplar for p in model.prototypes]]
    ordinary = np.flatnonzero(np.isin(seen.positions, np.setdiff1d(reference, exemplars)))[:REFERENCE]
    rule.learn(
        LearnedImages(
            labels=names[teaching.positions],
            logits=teaching.logits,
            auxiliary_classes=() if extractor.auxiliary is None else extractor.auxiliary.spec.classes,
            reference=RuleInput.of(seen.take(ordinary), model),
            unlearned=~learned_before[seen.positions[ordinary]],
        )
    )
    rule.threshold(alpha=settings.alpha, m=settings.m)  # a guard that has none would be of no use
    run.forget()
    reason = doubt(outputs, names[teaching.positions], teaching.logits.argmax(axis=1), protected.n_classes)
    if reason is not None:
        _log.warning("%s", reason)
    networks = [NetworkRecord.of(backbone) for backbone in extractor.backbones]
    return GuardState(
        networks=(replace(networks[0], categories=outputs), *networks[1:]),
        auxiliary=None
        if extractor.auxiliary is None or draws is None
        else AuxiliaryRecord.of(extractor.auxiliary, draws),
        settings=settings,
        model=model,
        calibration=calibration,
        learned=image_numbers(teaching.image_sha256),
        rule=rule,
        exemplars={p.exemplar: shown(files[p.exemplar]) for p in model.prototypes},
        training=Training(
            data=str(fit.data),
            learned=len(teaching.positions),
            calibrated=int(calibration.clean.sum()),
            unreadable=tuple(str(paths[i]) for i in sorted(plain.errors)),
            seed=seed,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            calibrated_on=HELD_OUT if fit.calibrate_on is None else other_images(fit.calibrate_on),
            left_out=left_out,
            known=known + more_known,
        ),
    )


def _extract(
    extractor: Extractor,
    paths: Sequence[Path],
    rows: NDArray[np.int64],
    total: int,
    progress: Progress | None,
    done: int,
    views: tuple[Shift, ...] = (),
    view_key: str | None = None,
    draws: Draws | None = None,
    copies: Mapping[int, Copy] | None = None,
) -> Batch:
    """Run some of the images; positions are those among all of them, and so is the progress."""
    places = {int(row): i for i, row in enumerate(rows)}
    batch = extractor.extract(
        [paths[i] for i in rows],
        None if progress is None else lambda count, _: progress(done + count, total),
        views=views,
        view_key=view_key,
        draws=draws,
        copies={places[i]: copy for i, copy in (copies or {}).items()},
    )
    return batch.placed(rows)


def _view_key(view_seed: int, views: Sequence[Shift]) -> str:
    """Stand for the views where others may read: 256 random bits are not guessed from their hash."""
    return sha256(f"views {view_seed} {[view.as_dict() for view in views]}".encode()).hexdigest()


def _draws_secret(view_seed: int) -> bytes:
    """Return the secret of the draws: one random number of a guard is behind it and behind the views."""
    return sha256(f"draws {view_seed}".encode()).digest()


class _RunState:
    """What an interrupted fit needs to go on where it stopped: the view seed, kept beside the cache of features."""

    def __init__(self, fit: Fit, extractor: Extractor, paths: Sequence[Path]) -> None:
        self.given = fit.view_seed
        self.cache = extractor.cache
        auxiliary = None if extractor.auxiliary is None else [extractor.auxiliary.identity, fit.draws]
        facts = [str(fit.data), str(fit.calibrate_on), repr(fit.settings), fit.level, fit.calibration]
        facts += [extractor.fingerprint, auxiliary]
        self.key = sha256(json.dumps([*facts, *map(str, paths)]).encode()).hexdigest()

    def view_seed(self) -> int:
        """Return the seed asked for, that of the interrupted run, or a new one."""
        if self.given is not None:
            return self.given
        kept = self.cache.run_state(self.key) if self.cache is not None else None
        seed = randbits(256) if kept is None else int(kept)
        if self.cache is not None:
            self.cache.keep_run_state(self.key, str(seed))
        return seed

    def forget(self) -> None:
        """Forget the seed: the fit is done, and another one draws anew."""
        if self.cache is not None:
            self.cache.forget_run_state(self.key)
