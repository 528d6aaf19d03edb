"""The learning procedure equals the plain loop over the paper's equations, and obeys its laws."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import ArrayLike, NDArray
from tests import naive
from tests.paper.datasets import TABLES, random

from simdnn.paper.learning import ClassModel, learn
from simdnn.paper.moments import Moments

Samples = NDArray[np.floating]
CLASSES = [
    pytest.param(samples[labels == label], id=f"{name}: {label}")
    for name, (samples, labels) in TABLES.items()
    for label in np.unique(labels)[:3]
]


def learned(*batches: ArrayLike) -> ClassModel:
    arrays: list[Samples] = [np.asarray(batch) for batch in batches]
    model, start = ClassModel.empty(arrays[0].shape[1]), 0
    for batch in arrays:
        learn(model, batch, np.arange(start, start + len(batch)))
        start += len(batch)
    return model


def assert_same_bits(one: ClassModel, other: ClassModel) -> None:
    for name in ("vectors", "support", "scatter", "exemplars", "exemplar_vectors", "serials"):
        assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name, strict=True)
    assert_array_equal(one.moments.mean, other.moments.mean)
    assert (one.moments.count, one.moments.scatter) == (other.moments.count, other.moments.scatter)
    assert one.next_serial == other.next_serial


@pytest.mark.parametrize("samples", CLASSES)
def test_learning_equals_the_plain_loop(samples: Samples) -> None:
    fast, slow = learned(samples), naive.learn(samples)
    assert_array_equal(fast.support, slow.support)
    assert_allclose(fast.vectors, np.array(slow.vectors, dtype=float), rtol=0, atol=1e-10)
    scatter = [((samples[rows] - samples[rows].mean(axis=0)) ** 2).sum() for rows in slow.members]
    assert_allclose(fast.scatter, scatter, rtol=1e-10, atol=1e-10)
    assert_array_equal(fast.exemplars, slow.exemplars)
    assert_array_equal(fast.exemplar_vectors, samples[slow.exemplars])
    assert_array_equal(fast.serials, np.arange(len(slow.vectors)))
    assert_allclose(fast.moments.mean, slow.mean.astype(float), rtol=0, atol=1e-10)
    assert_allclose(fast.moments.variance, float(slow.variance), rtol=1e-10)
    assert_allclose(fast.moments.scalar_product, float(slow.scalar_product), rtol=1e-10)


@pytest.mark.parametrize("samples", CLASSES)
def test_eq_3_chooses_the_prototypes_of_eq_2(samples: Samples) -> None:
    assert naive.learn(samples[:150], printed_density=True).members == naive.learn(samples[:150]).members


@pytest.mark.parametrize("samples", CLASSES)
def test_prototypes_are_the_means_of_their_members(samples: Samples) -> None:
    model, members = learned(samples), naive.learn(samples).members
    assert_allclose(model.vectors, [samples[rows].mean(axis=0) for rows in members], rtol=0, atol=1e-10)
    assert model.support.sum() == len(samples)


def test_more_than_one_prototype_a_class_but_few() -> None:
    sizes = [len(learned(random(20, seed, 2000, classes=1)[0])) for seed in range(10)]
    assert 6 <= np.mean(sizes) <= 25  # about 2 ln N


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 177), max_size=6), seed=st.integers(0, 10**6), single=st.booleans())
def test_batches_change_no_bit(cuts: list[int], seed: int, single: bool) -> None:
    samples = random(7, seed, 177, classes=1)[0].astype(np.float32 if single else np.float64)
    edges = [0, *sorted(cuts), 177]
    batches = [samples[a:b] for a, b in pairwise(edges)]
    assert_same_bits(learned(*batches), learned(samples))


def test_one_sample_at_a_time_changes_no_bit() -> None:
    samples = TABLES["digits"][0][:200]
    assert_same_bits(learned(*samples[:, None]), learned(samples))


def orthogonal(width: int) -> Samples:
    return np.linalg.qr(np.random.default_rng(3).normal(size=(width, width)))[0]


MAPS: dict[str, Any] = {
    "scale": lambda x: 37.3 * x,
    "shrink": lambda x: 1e-6 * x,
    "translate": lambda x: x + np.linspace(-5, 5, x.shape[1]),
    "rotate and reflect": lambda x: x @ orthogonal(x.shape[1]),
}


@pytest.mark.parametrize("name", ["digits", "cancer", "random 17"])
@pytest.mark.parametrize("change", MAPS)
def test_similar_spaces_give_the_same_prototypes(name: str, change: str) -> None:
    samples = TABLES[name][0][TABLES[name][1] == 1]
    before, after = learned(samples), learned(MAPS[change](samples))
    assert_array_equal(after.support, before.support)
    assert_array_equal(after.exemplars, before.exemplars)
    assert_allclose(after.vectors, MAPS[change](before.vectors), rtol=1e-9, atol=1e-9)


def test_a_tight_class_far_from_the_origin_keeps_its_variance() -> None:
    samples = 1e6 + 1e-3 * np.random.default_rng(0).normal(size=(500, 8))
    exact = ((samples - samples.mean(axis=0)) ** 2).sum(axis=1).mean()
    assert_allclose(learned(samples).moments.variance, exact, rtol=1e-6)


def test_order_matters_and_float32_does_not() -> None:
    samples = random(5, count=300, classes=1)[0].astype(np.float32)
    single = learned(samples)
    assert single.exemplar_vectors.dtype == np.float32
    mixed = learned(samples[:100], samples[100:].astype(np.float64))
    single.exemplar_vectors = single.exemplar_vectors.astype(np.float64)
    assert_same_bits(single, learned(samples.astype(np.float64)))
    assert_same_bits(single, mixed)
    assert learned(samples[::-1]).support.tolist() != learned(samples).support.tolist()


def test_a_sample_that_coincides_with_a_prototype_joins_it() -> None:
    same = learned(np.full((50, 3), 0.1))
    assert (len(same), same.support.tolist(), same.scatter.tolist()) == (1, [50], [0.0])
    assert (same.exemplars.tolist(), same.moments.variance) == ([0], 0.0)
    twice = learned([[0.0], [1.0], [0.0], [1.0], [1.0]])
    assert_array_equal(twice.vectors, [[0.0], [1.0]])
    assert_array_equal(twice.support, [2, 3])


def test_the_first_two_different_samples_are_prototypes() -> None:
    model = learned([[0.0, 0.0], [0.3, 0.4]])
    assert_array_equal(model.vectors, [[0.0, 0.0], [0.3, 0.4]])
    assert model.moments.count == 2
    assert model.moments.variance == pytest.approx(0.0625, abs=1e-15)


def test_learning_nothing_changes_nothing() -> None:
    model = learn(ClassModel.empty(4), np.empty((0, 4)), np.empty(0, dtype=np.int64))
    assert (len(model), model.moments.count, model.vectors.shape) == (0, 0, (0, 4))


def moments(samples: Samples) -> Moments:
    return learned(samples).moments if len(samples) else Moments(np.zeros(samples.shape[1]))


def test_moments_of_nothing() -> None:
    nothing = Moments(np.zeros(2))
    assert (nothing.variance, nothing.scalar_product) == (0.0, 0.0)


def test_a_long_class_equals_the_plain_loop() -> None:
    samples = random(3, count=900, classes=1)[0]
    fast, slow = learned(samples), naive.learn(samples)
    assert_array_equal(fast.support, slow.support)
    assert_array_equal(fast.exemplars, slow.exemplars)
    assert_allclose(fast.vectors, np.array(slow.vectors, dtype=float), rtol=0, atol=1e-10)


def test_every_sample_may_be_a_prototype() -> None:
    samples = 2.0 ** np.arange(700)[:, None] / 2.0**350  # each lies farther out than all before it
    model = learned(samples)
    assert_array_equal(model.vectors, samples)
    assert_array_equal(model.serials, np.arange(700))
    assert_same_bits(learned(samples[:333], samples[333:]), model)


def test_two_copies_of_a_class_learn_apart() -> None:
    """Arrays that still have room are used on; those of a class made from another are not the same."""
    samples = random(4, count=200, classes=1)[0]
    one = learned(samples[:100])
    other = one.take(np.arange(len(one)))
    other.moments = Moments(one.moments.mean.copy(), one.moments.count, one.moments.scatter)
    before = one.vectors.copy()
    learn(other, samples[100:], np.arange(100, 200))
    assert_array_equal(one.vectors, before)
    assert_same_bits(other, learned(samples))
