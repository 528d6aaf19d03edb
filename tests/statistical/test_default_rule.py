"""The false-alarm promise of the default rule, whose corrupted copies are not exchangeable with anything.

Each fit draws its own clean images, and copies of every second one that calibrates. Whatever the copies score, at most
alpha of new clean images may be flagged; where they score higher, exactly those that clean images alone would flag.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor
from typing import cast

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.stats import betabinom

from simdnn.arrays import IntArray
from simdnn.conformal.joint import JointThreshold
from simdnn.errors import InputError
from simdnn.images.shifts import Shift
from simdnn.paper.model import SimilarityModel
from simdnn.rules.calibration import CalibrationSet
from simdnn.rules.inputs import RuleInput
from simdnn.rules.profile import ProfileRule
from simdnn.rules.rule import LearnedImages
from simdnn.rules.view_statistics import STATISTICS, ViewStatistics

FITS, CLASSES, WIDTH = 240, 2, 4
LEARNED, POOL, NEW = 40, 320, 200
CENTRES = np.random.default_rng(0).normal(scale=3.0, size=(CLASSES, WIDTH))
TOWARDS_ATTACKS = {"like": 0.0, "lower": 2.0, "higher": -2.0}
"""How far the statistics of copies lie towards those of attacked images, so that their scores are like those of the
originals, lower, or higher."""

SIZES = {6: (0.15, 0.2), 19: (0.05, 0.1, 0.2), 59: (0.02, 0.05, 0.1, 0.2), 119: (0.01, 0.02, 0.05, 0.1, 0.2)}


@dataclass(frozen=True)
class Fit:
    """A rule that has learned, images that may calibrate it, and new ones."""

    rule: ProfileRule
    pool: CalibrationSet
    new: RuleInput

    def calibrated(self, rows: IntArray, copies: str) -> ProfileRule:
        """Return the rule calibrated on some images of the pool and on copies of every second one of them."""
        calibration = taken(self.pool, rows, "", 0.0).joined(
            taken(self.pool, rows[::2], "blurred", TOWARDS_ATTACKS[copies])
        )
        rule = ProfileRule(self.rule.model, calibration, self.rule.views)
        return rule.restore(*self.rule.state())


def taken(pool: CalibrationSet, rows: IntArray, corruption: str, shift: float) -> CalibrationSet:
    """Take images, with what speaks for an attack moved by so much."""
    assert pool.views is not None
    views = pool.views.take(rows)
    views = replace(views, feature_distance=views.feature_distance + shift, lead=views.lead - shift)
    return CalibrationSet(
        pool.features[rows],
        pool.logits[rows],
        pool.votes[rows],
        views,
        (corruption,) * len(rows),
        tuple(pool.image_sha256[i] for i in rows),
    )


def drawn(rng: np.random.Generator, n: int) -> tuple[IntArray, CalibrationSet]:
    """Draw images; those of the second class deviate more."""
    labels = np.arange(n) % CLASSES
    features = CENTRES[labels] + rng.normal(size=(n, WIDTH))
    views = ViewStatistics(**{name: (1 + labels) * rng.normal(size=n) for name in STATISTICS})
    return labels, CalibrationSet(
        features.astype(np.float32),
        np.eye(CLASSES, dtype=np.float32)[labels],
        np.empty((n, 0), np.int64),
        views,
        ("",) * n,
        tuple(map(str, range(n))),
    )


@pytest.fixture(scope="module")
def fits() -> list[Fit]:
    made = []
    for seed in range(FITS):
        rng = np.random.default_rng([7, seed])
        labels, learned = drawn(rng, LEARNED)
        model = SimilarityModel.learn(learned.features, labels.astype(str))
        _, pool = drawn(rng, POOL)
        rule = ProfileRule(model, pool, (Shift(right=1),))
        _, reference = drawn(rng, LEARNED)  # as exemplars, none of which is a reference image
        seen = reference.inputs(model)
        rule.learn(LearnedImages(labels.astype(str), seen.logits, (), seen))
        made.append(Fit(rule, pool, drawn(rng, NEW)[1].inputs(model)))
    return made


def assert_at_most(flagged: int, images: IntArray, n: int, alpha: float) -> None:
    """Hold the flags of all fits together, of so many images each, against the law of clean images alone."""
    j = floor(alpha * (n + 1) + 1e-9)
    law = betabinom(images, j, n + 1 - j)
    assert j / (n + 1) <= alpha + 1e-9
    assert flagged <= np.sum(law.mean()) + 4 * np.sqrt(np.sum(law.var()))


@pytest.mark.parametrize("copies", TOWARDS_ATTACKS)
@pytest.mark.parametrize("n", SIZES)
def test_clean_images_are_flagged_at_most_as_promised(fits: list[Fit], n: int, copies: str) -> None:
    flagged = dict.fromkeys(SIZES[n], 0)
    clean_alone = dict.fromkeys(SIZES[n], 0)
    for fit in fits:
        rule = fit.calibrated(np.arange(n), copies)
        scores = rule.score(fit.new)
        for alpha in SIZES[n]:
            threshold = cast(JointThreshold, rule.threshold(alpha=alpha, m=3.0))
            attack = threshold.judge(scores).attack
            alone = threshold.clean.judge(scores).attack
            assert not (attack & ~alone).any()
            if copies == "higher":
                assert_array_equal(attack, alone)
            flagged[alpha] += int(attack.sum())
            clean_alone[alpha] += int(alone.sum())
    images = np.full(len(fits), NEW)
    for alpha in SIZES[n]:
        assert_at_most(flagged[alpha], images, n, alpha)
        assert clean_alone[alpha] > 0.6 * floor(alpha * (n + 1) + 1e-9) / (n + 1) * images.sum()
        if copies == "lower":
            assert flagged[alpha] < clean_alone[alpha]


def test_copies_do_score_as_they_are_said_to(fits: list[Fit]) -> None:
    for copies, sign in (("lower", -1), ("higher", 1)):
        rule = fits[0].calibrated(np.arange(POOL), copies)
        scores = rule.calibration_scores()
        assert sign * (np.median(scores[POOL:]) - np.median(scores[:POOL:2])) > 0
    alike = fits[0].calibrated(np.arange(POOL), "like").calibration_scores()
    assert_array_equal(alike[POOL:], alike[:POOL:2])


@pytest.mark.parametrize("copies", TOWARDS_ATTACKS)
@pytest.mark.parametrize(("n", "alpha"), [(6, 0.15), (19, 0.05), (19, 0.2), (59, 0.02), (59, 0.1)])
def test_the_promise_holds_within_each_class(fits: list[Fit], n: int, alpha: float, copies: str) -> None:
    flagged, images = np.zeros((2, len(fits), CLASSES), dtype=np.int64)
    for i, fit in enumerate(fits):
        model = fit.rule.model
        labels = model.labels(fit.pool.inputs(model).similarities)
        chosen = [np.flatnonzero(labels == label)[:n] for label in model.classes]
        assert [len(rows) for rows in chosen] == [n] * CLASSES
        rule = fit.calibrated(np.concatenate(chosen), copies)
        threshold = rule.threshold(alpha=alpha, m=3.0, per_class=True)
        new = model.labels(fit.new.similarities)
        attack = threshold.judge(rule.score(fit.new), new).attack
        for j, label in enumerate(model.classes):
            images[i, j] = (new == label).sum()
            flagged[i, j] = attack[new == label].sum()
    for j in range(CLASSES):
        assert_at_most(int(flagged[:, j].sum()), images[:, j], n, alpha)


def test_copies_do_not_count_as_clean_images(fits: list[Fit]) -> None:
    """Thirteen images and seven copies are twenty, yet promise no better than 1 / 14."""
    rule = fits[0].calibrated(np.arange(13), "like")
    assert len(rule.calibration) == 20
    said = r"^13 calibration images cannot promise a false-alarm rate of 0\.05; give at least 19, "
    with pytest.raises(InputError, match=said):
        rule.threshold(alpha=0.05, m=3.0)
    offset = rule.threshold(alpha=1 / 14, m=3.0).offset
    assert offset <= rule.calibration_scores()[:13].min()
    model = fits[0].rule.model
    labels = model.labels(fits[0].pool.inputs(model).similarities)
    rows = np.concatenate([np.flatnonzero(labels == "0")[:13], np.flatnonzero(labels == "1")[:40]])
    of_classes = fits[0].calibrated(rows, "like")
    with pytest.raises(InputError, match="13"):
        of_classes.threshold(alpha=0.05, m=3.0, per_class=True)
