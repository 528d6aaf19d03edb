"""Intervals against closed forms, and against how often they hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from simdnn.evaluation.intervals import auroc, rate


def test_no_event_at_all_has_the_closed_form() -> None:
    assert rate(0, 50) == pytest.approx((0.0, 0.0, 1 - 0.025 ** (1 / 50)))
    assert rate(50, 50) == pytest.approx((1.0, 0.025 ** (1 / 50), 1.0))


def test_exact_interval_holds_at_least_as_often_as_it_says() -> None:
    counts = np.random.default_rng(0).binomial(80, 0.07, size=400)
    held = np.mean([estimate.low <= 0.07 <= estimate.high for estimate in (rate(int(k), 80) for k in counts)])
    assert held >= 0.95 - 3 * (0.95 * 0.05 / 400) ** 0.5


def test_area_is_that_of_scikit_learn_with_ties() -> None:
    rng = np.random.default_rng(1)
    clean, attacked = rng.integers(3, 12, 60), rng.integers(0, 10, 45)
    expected = roc_auc_score(np.r_[np.ones(60), np.zeros(45)], np.r_[clean, attacked])
    assert auroc(clean, attacked, resamples=100).value == pytest.approx(expected)


def test_bootstrap_interval_holds_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    truth = norm.cdf(1 / 2**0.5)
    drawn = [auroc(rng.normal(1, 1, 80), rng.normal(0, 1, 80), seed=i, resamples=300) for i in range(100)]
    held = np.mean([estimate.low <= truth <= estimate.high for estimate in drawn])
    assert 0.86 <= held <= 1.0
    assert len({estimate.value for estimate in drawn}) > 90


def test_scores_apart_are_told_apart_for_sure() -> None:
    assert auroc([3, 4, 5], [0, 1, 2], resamples=50) == (1.0, 1.0, 1.0)
