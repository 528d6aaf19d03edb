"""Each equation of the paper equals its obvious reference, and keeps its limits."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import dblquad, quad
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from tests import naive
from tests.paper import reference as ref
from tests.paper.datasets import TABLES, Table

from simdnn.paper import equations as eq
from simdnn.paper.scaling import FeatureRange

assert_exact = partial(assert_allclose, rtol=0, atol=1e-10)


@pytest.fixture(params=TABLES)
def table(request: pytest.FixtureRequest) -> Table:
    return TABLES[request.param]


def test_eqs_1_and_7_nearest_prototype_and_its_label(table: Table) -> None:
    samples, labels = table
    prototypes, names = samples[:9], labels[:9]
    nearest = [
        int(np.argmin([naive.distance2(x, p) for p in prototypes.astype(naive.Wide)]))
        for x in samples[:60].astype(naive.Wide)
    ]
    assert [eq.nearest_prototype(row) for row in eq.squared_distances(samples[:60], prototypes)] == nearest
    assert_array_equal(ref.nearest_label(samples[:60], prototypes, names), names[nearest])


def test_eqs_2_and_3_similarity_and_density_to_the_mean(table: Table) -> None:
    samples = table[0]
    wide = samples.astype(naive.Wide)
    mean, product = wide.mean(axis=0), (wide**2).sum(axis=1).mean()
    spread = product - (mean * mean).sum()
    assert_allclose(ref.variance(mean, float(product)), float(spread), rtol=1e-10)
    similarity = [naive.cauchy(naive.distance2(x, mean), spread) for x in wide]
    assert_exact(ref.similarity_to_mean(samples, mean, float(spread)), np.array(similarity, float))
    density = [naive.recursive_density(x, mean, product) for x in wide]
    assert_exact(ref.density(samples, mean, float(product)), np.array(density, float))
    assert_array_equal(np.argsort(similarity), np.argsort(density))


def test_eqs_4_and_5_recursive_mean_and_scalar_product(table: Table) -> None:
    samples = table[0]
    mean, product = np.zeros(samples.shape[1]), 0.0
    for i, x in enumerate(samples, start=1):
        mean = np.array([eq.update_mean(old, new, i) for old, new in zip(mean, x, strict=True)])
        product = ref.update_scalar_product(product, x, i)
        if i == 1:
            assert product == pytest.approx(float(x @ x), rel=1e-14)
    assert_exact(mean, samples.mean(axis=0))
    assert_allclose(product, (samples**2).sum(axis=1).mean(), rtol=1e-12)
    spread = ((samples - samples.mean(axis=0)) ** 2).sum(axis=1).mean()
    assert_allclose(ref.variance(mean, product), spread, rtol=1e-10)


def test_eq_5_variance_is_never_negative() -> None:
    assert ref.variance([1.0, 1.0], 2.0 - 1e-15) == 0.0


def test_eq_6_class_posterior_is_the_share_of_n_times_s(table: Table) -> None:
    samples, labels = table
    similarities = eq.similarity(samples[:40], samples[:9], 1.0)
    support, index = np.arange(1, 10), labels[:9] % 3
    expected = []
    for row in similarities:
        mass = [sum(n * s for n, s, c in zip(support, row, index, strict=True) if c == k) for k in range(3)]
        expected.append([m / sum(mass) for m in mass])
    assert_exact(eq.class_posterior(similarities, support, index, 3), expected)


def test_eq_6_posterior_of_a_sample_like_nothing_is_uniform() -> None:
    assert_array_equal(eq.class_posterior([[0.0, 0.0]], [3, 4], [0, 1], 2), [[0.5, 0.5]])


POINTS = {1: [[0.0], [3.0]], 2: [[0.0, 0.0], [2.0, -1.0]]}


@pytest.mark.parametrize("spread", [0.3, 1.0, 4.0])
def test_eq_6_density_integrates_to_one_on_the_line(spread: float) -> None:
    def density(t: float) -> float:
        return float(np.exp(ref.log_density([[t]], POINTS[1], [2, 5], spread))[0])

    halves = [quad(density, a, b)[0] for a, b in [(-np.inf, 0.0), (0.0, 3.0), (3.0, np.inf)]]
    assert sum(halves) == pytest.approx(1.0, abs=1e-6)


def test_eq_6_density_integrates_to_one_in_the_plane() -> None:
    def density(angle: float, radius: float) -> float:
        point = [[radius * np.cos(angle), radius * np.sin(angle)]]
        return radius * float(np.exp(ref.log_density(point, POINTS[2], [2, 5], 1.0))[0])

    inside = dblquad(density, 0.0, 40.0, 0.0, 2 * np.pi, epsabs=1e-4, epsrel=1e-4)[0]
    outside = dblquad(lambda a, u: density(a, 1 / u) / u**2, 1e-9, 1 / 40, 0.0, 2 * np.pi, epsabs=1e-4)[0]
    assert inside + outside == pytest.approx(1.0, abs=2e-3)
    assert outside > 0.01  # heavy tails: the test would see a kernel that does not decay as it should


def test_eq_6_density_does_not_underflow_in_many_dimensions() -> None:
    points = np.random.default_rng(0).normal(size=(5, 4096))
    values = ref.log_density(points, points[:2], [1, 1], 1e-4)
    assert np.isfinite(values).all()
    assert (values[:2] > values[2:].max()).all()


@settings(max_examples=60, deadline=None)
@given(own=st.floats(0.01, 1), others=st.lists(st.floats(0.01, 1), min_size=1, max_size=6))
def test_eq_8_is_a_record_on_either_side(own: float, others: list[float]) -> None:
    record = all(own >= other for other in others) or all(own <= other for other in others)
    assert eq.founds_prototype(own, min(others), max(others)) == record


def test_line_11_keeps_the_mean_of_the_members(table: Table) -> None:
    prototype = table[0][0]
    for count, x in enumerate(table[0][1:50], start=1):
        prototype = np.array(
            [eq.update_prototype(p, count, value) for p, value in zip(prototype, x, strict=True)]
        )
    assert_exact(prototype, table[0][:50].mean(axis=0))


def test_eqs_9_10_and_13_share_similarity_and_label(table: Table) -> None:
    samples, labels = table
    spread = np.linspace(0.5, 2.0, 9)
    slow = [
        [float(naive.cauchy(naive.distance2(x, p), v)) for p, v in zip(samples[:9], spread, strict=True)]
        for x in samples[:40]
    ]
    similarities = eq.similarity(samples[:40], samples[:9], spread)
    assert_exact(similarities, slow)
    shares = eq.relative_similarity(similarities)
    assert_exact(shares, [[s / sum(row) for s in row] for row in slow])
    assert_array_equal(eq.label(shares, labels[:9]), [labels[row.index(max(row))] for row in slow])


def test_eqs_1_and_13_agree_where_one_sigma_is_shared(table: Table) -> None:
    samples, labels = table
    shares = eq.relative_similarity(eq.similarity(samples, samples[:9], 0.7))
    assert_array_equal(eq.label(shares, labels[:9]), ref.nearest_label(samples, samples[:9], labels[:9]))


def test_eq_10_without_variance_takes_the_limit() -> None:
    assert_array_equal(eq.similarity([[0.0], [1.0]], [[0.0], [0.0]], [0.0, 1.0]), [[1.0, 1.0], [0.0, 0.5]])


def test_eq_9_of_no_similarity_at_all_is_uniform() -> None:
    assert_array_equal(eq.relative_similarity([[0.0, 0.0, 0.0, 0.0]]), np.full((1, 4), 0.25))


def test_distances_do_not_cancel() -> None:
    points = 1e8 + np.array([[0.0, 0.0], [3e-3, 4e-3]])
    assert eq.squared_distances(points[:1], points[1:])[0, 0] == pytest.approx(25e-6, rel=1e-4)


@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_eq_11_is_the_mean(values: list[float]) -> None:
    mean = 0.0
    for i, value in enumerate(values, start=1):
        mean = eq.update_running_mean(mean, value, i)
    assert mean == pytest.approx(sum(values) / len(values), abs=1e-12)


@pytest.mark.parametrize(("score", "attack"), [(0.5, False), (0.5 - 1e-12, True), (0.9, False), (0.0, True)])
def test_eq_12_flags_strictly_below(score: float, attack: bool) -> None:
    assert eq.is_attack(score, 0.75, 0.125, 2.0) == attack


def test_eq_14_counts_by_hand() -> None:
    cases = [  # attacked, flagged, label correct, judged rightly
        (True, True, True, True),
        (True, True, False, True),
        (True, False, True, True),
        (True, False, False, False),
        (False, False, True, True),
        (False, False, False, False),
        (False, True, True, False),
        (False, True, False, False),
    ]
    attacked, flagged, correct, right = (list(column) for column in zip(*cases, strict=True))
    assert_array_equal(eq.judged_rightly(attacked, flagged, correct), right)
    assert_array_equal(eq.judged_rightly(True, flagged[:4], correct[:4]), right[:4])
    assert eq.detection_rate(attacked, flagged, correct) == pytest.approx(100 * 4 / 8)
    assert eq.detection_rate(attacked[:7], flagged[:7], correct[:7]) == pytest.approx(100 * 4 / 7)
    with pytest.raises(ZeroDivisionError):
        eq.detection_rate([], [], [])


def test_line_2_standardising_first_changes_nothing(table: Table) -> None:
    samples = table[0] * 7 + 3
    both = MinMaxScaler().fit_transform(StandardScaler().fit_transform(samples))
    assert_exact(both, MinMaxScaler().fit_transform(samples))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_line_2_equals_scikit_learns_to_the_last_bit(table: Table, kind: type) -> None:
    samples: np.ndarray[Any, Any] = table[0].astype(kind)
    samples[:, 0] = 0.3  # never varies
    assert_array_equal(FeatureRange.of(samples)(samples), MinMaxScaler().fit_transform(samples))
