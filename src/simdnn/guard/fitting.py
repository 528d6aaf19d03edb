"""Fitting a guard: every image is read once, and its views and its corrupted copy leave the networks with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import cycle
from pathlib import Path
from secrets import randbits

import numpy as np
from numpy.typing import NDArray

from simdnn.errors import InputError
from simdnn.guard.exemplars import exemplar
from simdnn.guard.known import learned_by, without_learned
from simdnn.guard.settings import Settings
from simdnn.guard.state import GuardState
from simdnn.guard.training import Training, check_readable
from simdnn.images.corruptions import CORRUPTIONS
from simdnn.images.files import labelled_images
from simdnn.images.shifts import Shift
from simdnn.networks.auxiliary_record import AuxiliaryRecord
from simdnn.networks.batch import Batch
from simdnn.networks.extractor import Extractor
from simdnn.networks.prepare import Copy
from simdnn.networks.record import NetworkRecord
from simdnn.networks.votes import Draws
from simdnn.paper.holdout import calibration_mask, held_out
from simdnn.paper.model import SimilarityModel
from simdnn.progress import Progress
from simdnn.rules.calibration import CalibrationSet
from simdnn.rules.inputs import RuleInput
from simdnn.rules.registry import REFERENCE, find_draws, find_rule
from simdnn.rules.rule import LearnedImages

COPIES = 1000
"""Images, at most, that calibrate by a corrupted copy, too: every second one of those that calibrate."""


@dataclass(frozen=True)
class Fit:
    """What a fit is asked for; see :meth:`simdnn.guard.guard.Guard.fit`."""

    data: Path
    settings: Settings
    level: str
    calibration: float
    view_seed: int | None
    shuffle: bool
    max_unreadable: float
    draws: int | None


def fit_state(fit: Fit, extractor: Extractor, progress: Progress | None = None) -> GuardState:
    """Learn all that a guard knows from a folder of clean images."""
    settings, seed = fit.settings, fit.settings.seed
    kind = find_rule(settings.rule)
    if extractor.auxiliary is not None and not kind.uses_auxiliary:
        raise InputError(f"an auxiliary network has no part in the rule {settings.rule!r}; leave it out")
    if extractor.auxiliary is None and kind.uses_auxiliary:
        raise InputError(f"the rule {settings.rule!r} needs an auxiliary network; give one, or another rule")
    held_out("", 0, 0, fit.calibration, 0)  # InputError before the hours that extraction may take
    paths, labels = labelled_images(fit.data)
    names = np.array(labels)
    out = calibration_mask(names, fit.calibration, seed)
    known = learned_by(extractor.auxiliary, paths)
    out = without_learned(out, known, names, seed)
    run = _RunState(fit, extractor, paths)
    view_seed = run.view_seed()
    views = kind.draw_views(fit.level, view_seed)
    draws = None
    if kind.uses_auxiliary:
        draws = Draws(_draws_secret(view_seed), fit.draws or find_draws(fit.level))

    learned = np.flatnonzero(~out)
    reference = learned
    if views:
        reference = np.sort(np.random.default_rng(seed).permutation(learned)[:REFERENCE])
    copied = np.flatnonzero(out)[::2][:COPIES] if kind.learns_corruptions else np.empty(0, np.int64)
    copies = {int(i): Copy(name, seed) for i, name in zip(copied, cycle(CORRUPTIONS), strict=False)}
    compared = np.sort(np.concatenate([np.flatnonzero(out), reference]))
    rest = np.setdiff1d(np.arange(len(paths)), compared)
    seen = _extract(
        extractor, paths, compared, len(paths), progress, 0, views, _view_key(view_seed), draws, copies
    )
    plain = Batch.joined(
        [seen.without_views(), _extract(extractor, paths, rest, len(paths), progress, len(compared))]
    ).in_order()
    check_readable(paths, labels, plain, fit.max_unreadable)

    teaching = plain.take(np.flatnonzero(~plain.corrupted & ~out[plain.positions]))
    model = SimilarityModel.learn(
        teaching.features,
        names[teaching.positions],
        sigma=settings.sigma,
        shuffle=fit.shuffle,
        seed=seed,
    )
    files = [paths[i] for i in teaching.positions]
    calibration = CalibrationSet.of(seen.take(np.flatnonzero(out[seen.positions])))
    rule = kind(model, calibration, views)
    exemplars = teaching.positions[[p.exemplar for p in model.prototypes]]
    ordinary = np.isin(seen.positions, np.setdiff1d(reference, exemplars))
    rule.learn(
        LearnedImages(
            labels=names[teaching.positions],
            logits=teaching.logits,
            auxiliary_classes=() if extractor.auxiliary is None else extractor.auxiliary.spec.classes,
            reference=RuleInput.of(seen.take(np.flatnonzero(ordinary)[:REFERENCE]), model),
        )
    )
    rule.threshold(alpha=settings.alpha, m=settings.m)  # a guard that has none would be of no use
    run.forget()
    return GuardState(
        networks=tuple(NetworkRecord.of(backbone) for backbone in extractor.backbones),
        auxiliary=None
        if extractor.auxiliary is None or draws is None
        else AuxiliaryRecord.of(extractor.auxiliary, draws),
        settings=settings,
        model=model,
        calibration=calibration,
        rule=rule,
        exemplars={p.exemplar: exemplar(files[p.exemplar], files[p.exemplar].name) for p in model.prototypes},
        training=Training(
            data=str(fit.data),
            learned=len(teaching.positions),
            calibrated=int(calibration.clean.sum()),
            known=int(known.sum()),
            unreadable=tuple(str(paths[i]) for i in sorted(plain.errors)),
            seed=seed,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
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


def _view_key(view_seed: int) -> str:
    """Stand for the views where others may read: 256 random bits are not guessed from their hash."""
    return sha256(f"views {view_seed}".encode()).hexdigest()


def _draws_secret(view_seed: int) -> bytes:
    """Return the secret of the draws: one random number of a guard is behind it and behind the views."""
    return sha256(f"draws {view_seed}".encode()).digest()


class _RunState:
    """What an interrupted fit needs to go on where it stopped: the view seed, kept beside the cache of features."""

    def __init__(self, fit: Fit, extractor: Extractor, paths: Sequence[Path]) -> None:
        self.given = fit.view_seed
        self.cache = extractor.cache
        facts = [str(fit.data), repr(fit.settings), fit.level, fit.calibration, extractor.fingerprint]
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
