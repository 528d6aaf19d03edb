"""The deployed rule: votes that a threshold asks for, what luck may do, and deciding early."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from simdnn.errors import InputError
from simdnn.smoothing.votes import early_decision, share_needed, votes_needed

draws = st.integers(1, 400)
thresholds = st.floats(0, 1, exclude_min=True)


@given(n=draws, tau=thresholds)
def test_votes_needed_are_the_fewest_that_reach_the_threshold(n: int, tau: float) -> None:
    assert votes_needed(tau, n) == next(k for k in range(n + 1) if k / n >= tau)


@given(n=draws, of=st.integers(1, 400), up=st.integers(-1, 1))
def test_votes_needed_at_and_beside_a_share_that_can_be_reached(n: int, of: int, up: int) -> None:
    tau = min(of, n) / n
    tau = min(1.0, math.nextafter(tau, 2.0 * up)) if up else tau
    assert votes_needed(tau, n) == next(k for k in range(n + 1) if k / n >= tau)


@given(n=draws, tau=thresholds, miss=st.floats(1e-6, 0.3))
def test_below_the_share_needed_an_image_passes_no_more_often_than_allowed(
    n: int, tau: float, miss: float
) -> None:
    share = share_needed(tau, n, miss)
    passes = votes_needed(tau, n) - 1
    assert binom.sf(passes, n, share) == pytest.approx(miss, rel=1e-6)
    assert binom.sf(passes, n, share * 0.99) < miss
    assert binom.sf(passes, n, min(1.0, share * 1.01)) > miss


def test_share_needed_rises_with_threshold_draws_and_misses() -> None:
    assert share_needed(0.6, 100, 0.01) < share_needed(0.7, 100, 0.01)
    assert share_needed(0.6, 100, 0.01) < share_needed(0.6, 1000, 0.01) < 0.6
    assert share_needed(0.6, 100, 0.001) < share_needed(0.6, 100, 0.01)


@given(votes=st.lists(st.booleans(), min_size=1, max_size=60), tau=thresholds)
def test_an_early_decision_is_that_of_all_draws_and_comes_as_soon_as_it_can(
    votes: list[bool], tau: float
) -> None:
    n = len(votes)
    final = sum(votes) / n >= tau
    for drawn in range(n + 1):
        k = sum(votes[:drawn])
        decision = early_decision(k, drawn, n, tau)
        assert decision in (None, final)
        best, worst = (k + n - drawn) / n >= tau, k / n >= tau
        assert (decision is None) == (best != worst)


def test_early_decisions_save_draws_and_change_nothing() -> None:
    rng, n, tau = np.random.default_rng(0), 100, 0.6
    used = []
    for p in (0.0, 0.5, 0.99):
        votes = np.cumsum(rng.random(n) < p).tolist()
        stop = next(d for d in range(1, n + 1) if early_decision(votes[d - 1], d, n, tau) is not None)
        assert early_decision(votes[stop - 1], stop, n, tau) == (votes[-1] / n >= tau)
        used.append(stop)
    assert used[0] == 41
    assert 60 <= used[2] <= 64


@pytest.mark.parametrize(("tau", "n"), [(0.0, 10), (1.1, 10), (0.5, 0)])
def test_bad_rules_are_refused(tau: float, n: int) -> None:
    with pytest.raises(InputError) as refused:
        votes_needed(tau, n)
    expected = f"expected a threshold on the share in (0, 1] and at least 1 draw; got {tau} and {n}"
    assert str(refused.value) == expected


@pytest.mark.parametrize(("votes", "drawn"), [(3, 2), (-1, 2), (5, 11)])
def test_impossible_votes_are_refused(votes: int, drawn: int) -> None:
    with pytest.raises(
        InputError, match=f"^expected votes <= draws so far <= 10 draws; got {votes} votes in {drawn}$"
    ):
        early_decision(votes, drawn, 10, 0.5)
