"""Clopper-Pearson bounds: their definition, their exact coverage, and the worst of several classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import binom, binomtest

from simdnn.errors import InputError
from simdnn.smoothing.bounds import lower_bound, upper_bound, worst_upper_bound

errors = st.floats(1e-6, 0.5)


@given(n=st.integers(1, 2000), share=st.floats(0, 1), error=errors)
def test_bounds_are_where_the_tail_has_the_probability_of_the_error(
    n: int, share: float, error: float
) -> None:
    k = round(share * n)
    low, high = float(lower_bound(k, n, error)), float(upper_bound(k, n, error))
    assert 0 <= low <= k / n <= high <= 1
    assert low == 0 if k == 0 else binom.sf(k - 1, n, low) == pytest.approx(error, rel=1e-6)
    assert high == 1 if k == n else binom.cdf(k, n, high) == pytest.approx(error, rel=1e-6)
    assert float(upper_bound(n - k, n, error)) == pytest.approx(1 - low, abs=1e-12)


@pytest.mark.parametrize("k", [0, 1, 7, 19, 20])
def test_bounds_equal_those_of_scipy(k: int) -> None:
    test = binomtest(k, 20, alternative="greater").proportion_ci(0.95, method="exact")
    assert float(lower_bound(k, 20, 0.05)) == pytest.approx(test.low, abs=1e-9)
    test = binomtest(k, 20, alternative="less").proportion_ci(0.95, method="exact")
    assert float(upper_bound(k, 20, 0.05)) == pytest.approx(test.high, abs=1e-9)


@pytest.mark.parametrize("error", [0.001, 0.05])
@pytest.mark.parametrize("n", [1, 10, 300])
def test_coverage_is_at_least_what_is_asked_for_at_any_share(n: int, error: float) -> None:
    k = np.arange(n + 1)
    low, high = lower_bound(k, n, error), upper_bound(k, n, error)
    for p in np.linspace(0.001, 0.999, 97):
        chances = binom.pmf(k, n, p)
        assert chances[low > p].sum() <= error * (1 + 1e-9)
        assert chances[high < p].sum() <= error * (1 + 1e-9)


def test_coverage_by_simulation_is_close_to_what_is_asked_for() -> None:
    votes = np.random.default_rng(0).binomial(1000, 0.3, size=20_000)
    for missed in (
        (lower_bound(votes, 1000, 0.05) > 0.3).sum(),
        (upper_bound(votes, 1000, 0.05) < 0.3).sum(),
    ):
        assert binom.ppf(1e-4, 20_000, 0.04) <= missed <= binom.ppf(0.9999, 20_000, 0.05)


@given(n=st.integers(1, 500), share=st.floats(0, 1), error=errors)
def test_bounds_rise_with_the_count_and_close_in_with_the_error(n: int, share: float, error: float) -> None:
    k = np.arange(n + 1)
    for bound in (lower_bound, upper_bound):
        assert (np.diff(bound(k, n, error)) > 0).all()
    one = round(share * n)
    assert lower_bound(one, n, error / 2) <= lower_bound(one, n, error)
    assert upper_bound(one, n, error / 2) >= upper_bound(one, n, error)


def test_shapes_broadcast() -> None:
    n = np.array([[10], [20]])
    low = lower_bound([0, 3, 10], n, 0.01)
    assert low.shape == (2, 3)
    assert low[1, 2] == lower_bound(10, 20, 0.01)


def test_the_worst_wrong_class_equals_a_plain_loop() -> None:
    counts = np.random.default_rng(1).multinomial(100, [0.7, 0.2, 0.1, 0.0], size=30)
    labels = np.random.default_rng(2).integers(4, size=30)
    expected = [
        max(float(upper_bound(int(row[c]), 100, 0.01 / 3)) for c in range(4) if c != y)
        for row, y in zip(counts, labels.tolist(), strict=True)
    ]
    assert_allclose(worst_upper_bound(counts, labels, 0.01), expected, rtol=1e-12)


def test_with_many_classes_any_bound_is_wrong_at_most_as_often_as_asked_for() -> None:
    shares = np.array([0.5, *[0.1] * 5])
    counts = np.random.default_rng(3).multinomial(200, shares, size=20_000)
    worst = worst_upper_bound(counts, np.zeros(20_000, dtype=int), 0.05)
    bounds = upper_bound(counts[:, 1:], 200, 0.05 / 5)
    assert_array_equal(worst, bounds.max(axis=1))
    wrong = (bounds < 0.1).any(axis=1).sum()
    assert wrong <= binom.ppf(0.9999, 20_000, 0.05)
    assert (upper_bound(counts[:, 1:], 200, 0.05) < 0.1).any(
        axis=1
    ).sum() > 2 * wrong  # undivided, it would fail


@pytest.mark.parametrize(
    ("k", "n", "error", "message"),
    [
        (3, 2, 0.1, "expected at least one draw, and from 0 to as many events as draws"),
        (-1, 2, 0.1, "expected at least one draw, and from 0 to as many events as draws"),
        (0, 0, 0.1, "expected at least one draw, and from 0 to as many events as draws"),
        (1, 2, 0.0, "error is a probability, expected between 0 and 1; got 0.0"),
        (1, 2, 1.0, "error is a probability, expected between 0 and 1; got 1.0"),
        (0.5, 2, 0.1, "expected whole numbers of events and draws; got float64 and int64"),
    ],
)
def test_bad_counts_are_refused(k: int, n: int, error: float, message: str) -> None:
    for bound in (lower_bound, upper_bound):
        with pytest.raises(InputError) as refused:
            bound(k, n, error)
        assert str(refused.value) == message


@pytest.mark.parametrize(
    ("counts", "labels", "message"),
    [
        ([[3]], [0], r"at least two classes and labels \(N,\); got \(1, 1\) and \(1,\)"),
        ([[3, 4]], [0, 1], r"at least two classes and labels \(N,\); got \(1, 2\) and \(2,\)"),
        ([[3, 4]], [2], "expected labels from 0 to 1; got 2 to 2"),
        ([[3, 4]], [-1], "expected labels from 0 to 1; got -1 to -1"),
    ],
)
def test_bad_classes_are_refused(counts: list[list[int]], labels: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        worst_upper_bound(counts, labels, 0.1)
