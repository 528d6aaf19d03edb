"""Certified rates and the certified ROC curve, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import binomtest

from simdnn.errors import InputError
from simdnn.smoothing.radius import attack_radius
from simdnn.smoothing.rates import CertifiedROC, certified_rates, certified_roc
from simdnn.smoothing.votes import share_needed

AT = [0.0, 0.1, 0.5, 1.0]
COUNTS = np.random.default_rng(0).multinomial(400, [0.93, 0.05, 0.02], size=60)
LABELS = np.repeat([0, 0, 1], 20)
VOTES = np.random.default_rng(1).binomial(25, 0.9, size=80)


def curve() -> CertifiedROC:
    return certified_roc(VOTES, 25, COUNTS, LABELS, AT, miss=0.01, sigma=0.25, norm=0.5, error=0.001)


def test_rates_count_the_larger_radii_and_have_exact_intervals() -> None:
    radii = [0.0, 0.0, 0.1, 0.3, 0.7, 1.2]
    rates = certified_rates(radii, AT)
    expected = [sum(r > at for r in radii) for at in AT]
    assert expected == [4, 3, 2, 1]
    assert_array_equal(rates.at, AT)
    assert_allclose(rates.rate, np.array(expected) / 6)
    for k, low, high in zip(expected, rates.low, rates.high, strict=True):
        interval = binomtest(k, 6).proportion_ci(0.95, method="exact")
        assert (low, high) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_the_curve_equals_a_plain_loop() -> None:
    found = curve()
    assert_array_equal(found.taus, np.arange(1, 26) / 25)
    for t, tau in enumerate(found.taus.tolist()):
        assert found.false_alarms[t] == np.mean([k / 25 < tau for k in VOTES])
        share = share_needed(tau, 25, 0.01)
        radii = attack_radius(COUNTS, LABELS, share, sigma=0.25, norm=0.5, error=0.001)
        assert_array_equal(found.certified[t], [np.mean(radii > at) for at in AT])


def test_the_curve_rises_with_the_threshold_and_falls_with_the_radius() -> None:
    found = curve()
    assert (np.diff(found.false_alarms) >= 0).all()
    assert (np.diff(found.certified, axis=0) >= 0).all()
    assert (np.diff(found.certified, axis=1) <= 0).all()
    assert 0.3 < found.certified[20, 1] < 0.8  # the images that are misclassified are never certified
    assert found.false_alarms[-1] > 0.8


@pytest.mark.parametrize(("radii", "at"), [([], [0.1]), ([-0.1], [0.1]), ([0.1], [-0.1])])
def test_bad_radii_are_refused(radii: list[float], at: list[float]) -> None:
    with pytest.raises(InputError, match=r"^expected radii of at least one image, and none below 0$"):
        certified_rates(radii, at)


@pytest.mark.parametrize("votes", [[], [-1], [26]])
def test_bad_votes_are_refused(votes: list[int]) -> None:
    with pytest.raises(InputError, match=r"^expected votes of at least one clean image, from 0 to 25 each$"):
        certified_roc(votes, 25, COUNTS, LABELS, AT, miss=0.01, sigma=0.25, norm=0.5, error=0.001)
