"""The held-out draw is stratified, seeded, blind to the samples and to how they arrive."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from simdnn.errors import InputError
from simdnn.paper.holdout import held_out


@pytest.mark.parametrize(("fraction", "size"), [(0.5, 2), (0.25, 4), (0.2, 5), (0.1, 10)])
def test_one_of_every_group_of_consecutive_samples(fraction: float, size: int) -> None:
    for seed in range(20):
        drawn = held_out("cat", 0, 40 * size, fraction, seed)
        assert_array_equal(drawn.reshape(40, size).sum(axis=1), 1)
        assert not drawn[0]


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 93), max_size=5), seed=st.integers(0, 2**31))
def test_batches_do_not_change_the_draw(cuts: list[int], seed: int) -> None:
    edges = [0, *sorted(cuts), 93]
    parts = [held_out("dog", a, b - a, 0.2, seed) for a, b in pairwise(edges)]
    assert_array_equal(np.concatenate(parts), held_out("dog", 0, 93, 0.2, seed))


def test_seed_and_class_change_the_draw() -> None:
    draws = [held_out(label, 0, 100, 0.2, seed) for label, seed in [("a", 0), ("a", 1), ("b", 0)]]
    assert not (draws[0] == draws[1]).all()
    assert not (draws[0] == draws[2]).all()


def test_every_place_of_a_group_is_drawn_equally_often() -> None:
    drawn = np.mean([held_out("a", 5, 5, 0.2, seed) for seed in range(2000)], axis=0)
    assert np.abs(drawn - 0.2).max() < 4 * np.sqrt(0.2 * 0.8 / 2000)


def test_none_is_held_out_at_zero_or_of_a_single_sample() -> None:
    assert not held_out("a", 0, 50, 0, 0).any()
    assert not any(held_out("a", 0, 1, 0.5, seed).any() for seed in range(20))


@pytest.mark.parametrize("fraction", [-0.1, 0.6, 1.0, float("nan")])
def test_other_shares_are_refused(fraction: float) -> None:
    with pytest.raises(InputError, match=rf"calibration is 0 or in \(0, 0\.5\]; got {fraction}"):
        held_out("a", 0, 10, fraction, 0)


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.22, 0.3, 0.4, 0.45, 0.5])
def test_the_share_is_the_one_asked_for(fraction: float) -> None:
    assert held_out("a", 0, 1000, fraction, 0).sum() == pytest.approx(1000 * fraction, abs=1)


@pytest.mark.parametrize("fraction", [0.3, 0.45])
def test_any_share_does_not_depend_on_batches(fraction: float) -> None:
    parts = [held_out("dog", a, b - a, fraction, 0) for a, b in pairwise([0, 1, 2, 7, 30, 31, 93])]
    assert_array_equal(np.concatenate(parts), held_out("dog", 0, 93, fraction, 0))
