"""The quick way to the most similar prototype gives the very answer of the slow one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from simdnn.arrays import FloatArray
from simdnn.paper import nearest
from simdnn.paper.equations import similarity
from simdnn.paper.nearest import NearestPrototype


def assert_exact(x: FloatArray, prototypes: FloatArray, variances: FloatArray) -> None:
    slow = similarity(x, prototypes, variances)
    winners, scores = NearestPrototype(np.array_split(prototypes, 3), variances)(x)
    assert_array_equal(winners, slow.argmax(axis=1))
    assert_array_equal(scores, slow.max(axis=1))


@pytest.mark.parametrize("width", [1, 3, 64, 1000])
@pytest.mark.parametrize("equal", [True, False])
def test_index_and_score_are_those_of_eq_10_to_the_last_bit(width: int, equal: bool) -> None:
    rng = np.random.default_rng(width)
    prototypes = rng.random((150, width))
    variances = np.full(150, 0.3) if equal else rng.random(150) + 0.01
    assert_exact(rng.random((200, width)).astype(np.float32).astype(np.float64), prototypes, variances)


def test_prototypes_that_single_precision_cannot_tell_apart() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(500) + 100
    prototypes = base + 1e-7 * rng.random((90, 500))
    x = np.vstack([prototypes[[5, 50, 89]], base])
    winners, _ = NearestPrototype([prototypes], np.ones(90))(x)
    assert_array_equal(winners[:3], [5, 50, 89])
    assert_exact(x, prototypes, np.full(90, 1e-9))


def test_equal_prototypes_the_first_wins() -> None:
    prototypes = np.repeat(np.random.default_rng(1).random((10, 6)), 2, axis=0)
    assert_array_equal(NearestPrototype([prototypes], np.ones(20))(prototypes)[0], np.arange(20) // 2 * 2)


def test_no_variance_and_numbers_too_large_for_single_precision() -> None:
    prototypes = np.array([[0.0, 0.0], [1.0, 1.0], [1e30, 0.0], [3.0, 0.0]])
    x = np.array([[1.0, 1.0], [1e30, 0.0], [0.2, 0.1], [9e29, 1e29]])
    assert_exact(x, prototypes, np.array([1.0, 0.0, 1.0, 2.0]))
    assert_exact(x[[0, 2]], prototypes[[0, 1, 3]], np.zeros(3))


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    prototypes, x = rng.random((50, 20)), rng.random((100, 20))
    whole = NearestPrototype([prototypes], np.ones(50))(x)
    monkeypatch.setattr(nearest, "AT_ONCE", 1)
    small = NearestPrototype([prototypes], np.ones(50))
    assert small.rows == 16
    for one, other in zip(whole, small(x), strict=True):
        assert_array_equal(one, other)
