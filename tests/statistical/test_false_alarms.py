"""The false-alarm promise of every threshold, on features: the whole law over many fits of Sim-DNN.

Each fit draws its own blobs, so that fits are independent. Given n calibration images the flags among N others are
beta-binomial(N, k, n + 1 - k) with k = floor(alpha (n + 1)), whatever the continuous scores are.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from scipy.stats import betabinom, binom, kstest

from simdnn.arrays import FloatArray, IntArray
from simdnn.conformal.drift import DriftMonitor
from simdnn.conformal.per_class import MondrianThreshold
from simdnn.conformal.split import ConformalThreshold
from simdnn.paper.estimator import SimDNN

FITS, CLASSES, WIDTH = 1000, 3, 5
POOL, NEW = 360, 240
CENTRES = np.random.default_rng(0).normal(scale=2.0, size=(CLASSES, WIDTH))
SPREADS = np.array([0.5, 1.0, 2.0])  # so that classes score differently

PROMISES = [
    (6, 0.15),
    (6, 0.2),
    (19, 0.05),
    (19, 0.1),
    (19, 0.2),
    (59, 0.02),
    (59, 0.05),
    (59, 0.1),
    (59, 0.2),
    (119, 0.01),
    (119, 0.02),
    (119, 0.05),
    (119, 0.1),
    (119, 0.2),
]


@dataclass(frozen=True)
class Fits:
    """Scores and labels given of images that calibrate, (FITS, POOL), and of others, (FITS, NEW)."""

    scores: FloatArray
    labels: IntArray
    new_scores: FloatArray
    new_labels: IntArray


def blobs(rng: np.random.Generator, n: int) -> tuple[FloatArray, NDArray[np.int64]]:
    labels = rng.integers(CLASSES, size=n)
    return CENTRES[labels] + SPREADS[labels, None] * rng.normal(size=(n, WIDTH)), labels


@pytest.fixture(scope="module")
def fits() -> Fits:
    scores, labels = np.empty((FITS, POOL + NEW)), np.empty((FITS, POOL + NEW), dtype=np.int64)
    for seed in range(FITS):
        rng = np.random.default_rng([5, seed])
        model = SimDNN(calibration=0.0).fit(*blobs(rng, 60))
        images, _ = blobs(rng, POOL + NEW)
        similarities = model.similarities(images)
        scores[seed], labels[seed] = similarities.max(axis=1), model.label(similarities)
    assert len(np.unique(scores)) == scores.size  # continuous: no ties
    return Fits(scores[:, :POOL], labels[:, :POOL], scores[:, POOL:], labels[:, POOL:])


def assert_law(flagged: IntArray, images: IntArray | int, n: int, alpha: float) -> None:
    """Compare flags of each fit, among so many images, with their law: the mean, and the distribution."""
    k = floor(alpha * (n + 1) + 1e-9)
    law = betabinom(images, k, n + 1 - k)
    fits = len(flagged)
    assert fits >= 200
    expected = np.broadcast_to(law.mean(), fits).sum()
    deviation = np.sqrt(np.broadcast_to(law.var(), fits).sum())
    assert abs(flagged.sum() - expected) < 4 * deviation
    assert expected == pytest.approx(k / (n + 1) * np.broadcast_to(images, fits).sum())
    assert k / (n + 1) <= alpha + 1e-9
    chance = np.random.default_rng(0).random(fits)
    spread = law.cdf(flagged - 1) + chance * law.pmf(flagged)  # uniform if the law holds
    assert kstest(spread, "uniform").pvalue > 1e-4


@pytest.mark.parametrize(("n", "alpha"), PROMISES)
def test_one_threshold(fits: Fits, n: int, alpha: float) -> None:
    flagged = [
        ConformalThreshold(known[:n], alpha).judge(new).attack.sum()
        for known, new in zip(fits.scores, fits.new_scores, strict=True)
    ]
    assert_law(np.array(flagged), NEW, n, alpha)


def first_of_each_class(labels: IntArray, n: int) -> IntArray:
    """Return indices of the first n images of each label given."""
    return np.concatenate([np.flatnonzero(labels == label)[:n] for label in range(CLASSES)])


@pytest.mark.parametrize(("n", "alpha"), [(6, 0.2), (19, 0.05), (19, 0.2), (59, 0.02), (59, 0.1)])
def test_a_threshold_for_each_class(fits: Fits, n: int, alpha: float) -> None:
    flagged, images = np.zeros((2, FITS, CLASSES), dtype=np.int64)
    enough = np.zeros(FITS, dtype=bool)
    for fit in range(FITS):
        chosen = first_of_each_class(fits.labels[fit], n)
        enough[fit] = len(chosen) == n * CLASSES
        if not enough[fit]:
            continue
        known, given = fits.scores[fit][chosen], fits.labels[fit][chosen]
        new, label = fits.new_scores[fit], fits.new_labels[fit]
        attack = MondrianThreshold(known, given, range(CLASSES), alpha).judge(new, label).attack
        images[fit] = np.bincount(label, minlength=CLASSES)
        flagged[fit] = np.bincount(label[attack], minlength=CLASSES)
    for label in range(CLASSES):
        assert_law(flagged[enough, label], images[enough, label], n, alpha)


def test_one_threshold_for_all_does_not_keep_the_promise_of_each_class(fits: Fits) -> None:
    attack = np.array(
        [
            ConformalThreshold(known, 0.1).judge(new).attack
            for known, new in zip(fits.scores, fits.new_scores, strict=True)
        ]
    )
    rates = [attack[fits.new_labels == label].mean() for label in range(CLASSES)]
    assert max(rates) > 0.15
    assert min(rates) < 0.05


@pytest.mark.parametrize("n", [19, 119])
def test_the_drift_monitor_ever_alarms_with_at_most_delta(fits: Fits, n: int) -> None:
    streams = 250
    peaks = np.array(
        [
            max(state.log10_capital for state in DriftMonitor(known[:n], seed=fit).watch(new.tolist()))
            for fit, (known, new) in enumerate(
                zip(fits.scores[:streams], fits.new_scores[:streams], strict=True)
            )
        ]
    )
    for delta in (0.01, 0.05, 0.2, 0.5):
        assert (peaks >= -np.log10(delta)).sum() <= binom.ppf(0.9999, streams, delta)
    monitor = DriftMonitor(fits.scores[0, :n], delta=0.5, seed=0)
    alarms = [state.alarm for state in monitor.watch(fits.new_scores[0].tolist())]
    assert_array_equal(alarms[-1], peaks[0] >= -np.log10(0.5))


def test_the_law_would_notice_an_offset_that_is_one_score_too_high(fits: Fits) -> None:
    n, alpha = 119, 0.2
    flagged = [
        (new < np.sort(known[:n])[floor(alpha * (n + 1))]).sum()
        for known, new in zip(fits.scores, fits.new_scores, strict=True)
    ]
    with pytest.raises(AssertionError):
        assert_law(np.array(flagged), NEW, n, alpha)
