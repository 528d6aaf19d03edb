"""Both thresholds: closed forms, ties, refusals, and the statistical promise itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import betabinom
from sklearn.datasets import load_digits
from tests import naive

from simdnn.conformal.per_class import MondrianThreshold
from simdnn.conformal.split import ConformalThreshold
from simdnn.errors import InputError
from simdnn.paper.estimator import SimDNN
from simdnn.paper.m_sigma import RecursiveThreshold

Counts = list[tuple[int, int, int]]  # (flagged, clean images, calibration images) of each seed
SEEDS = 200
few_values = st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5])  # so that ties are common


@settings(max_examples=80, deadline=None)
@given(
    calibration=st.lists(few_values, min_size=4, max_size=60),
    scores=st.lists(few_values, min_size=1, max_size=20),
    alpha=st.sampled_from([0.2, 0.25, 1 / 3, 0.5, 0.7]),
)
def test_conformal_flags_where_the_p_value_is_at_most_alpha(
    calibration: list[float], scores: list[float], alpha: float
) -> None:
    judgement = ConformalThreshold(calibration, alpha).judge(np.array(scores))
    expected = [naive.p_value(calibration, score) for score in scores]
    assert judgement.p_values is not None
    assert_allclose(judgement.p_values, expected, rtol=1e-12)
    assert_array_equal(judgement.attack, [p <= alpha + 1e-9 for p in expected])
    assert_array_equal(judgement.attack, np.array(scores) < judgement.offsets)


def test_conformal_takes_an_alpha_just_below_1() -> None:
    threshold = ConformalThreshold(np.arange(119.0), float(np.nextafter(1.0, 0.0)))
    assert threshold.offset == 118.0


def test_conformal_takes_the_smallest_alpha_and_no_less() -> None:
    scores = np.linspace(0.0, 1.0, 19)
    smallest = ConformalThreshold(scores, 0.05)
    assert_array_equal(smallest.judge(np.array([-0.1, 0.0])).attack, [True, False])
    with pytest.raises(
        InputError,
        match=r"^19 calibration images cannot promise a false-alarm rate of 0\.01; "
        r"give at least 99, or ask for 0\.05 or more$",
    ):
        ConformalThreshold(scores, 0.01)
    assert ConformalThreshold(np.arange(99.0), 0.01).offset == 0.0


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, 5.0, float("nan")])
def test_conformal_refuses_what_is_no_rate(alpha: float) -> None:
    with pytest.raises(InputError, match=rf"expected between 0 and 1; got {alpha}"):
        ConformalThreshold(np.arange(99.0), alpha)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_conformal_refuses_scores_that_are_none(bad: float) -> None:
    with pytest.raises(InputError, match="calibration scores must be finite; got missing or infinite"):
        ConformalThreshold([0.1, bad, 0.3], 0.5)


def test_conformal_without_images() -> None:
    with pytest.raises(InputError, match="0 calibration images cannot promise"):
        ConformalThreshold([], 0.5)


def assert_promise_kept(counts: Counts, alpha: float) -> None:
    """Given n calibration images, flags among N others are beta-binomial(N, k, n + 1 - k), k = floor(alpha (n + 1))."""
    laws = [
        betabinom(images, np.floor(alpha * (n + 1)), n + 1 - np.floor(alpha * (n + 1)))
        for _, images, n in counts
    ]
    flagged = np.array([f for f, _, _ in counts])
    expected, deviation = sum(law.mean() for law in laws), np.sqrt(sum(law.var() for law in laws))
    assert abs(flagged.sum() - expected) < 4 * deviation
    assert flagged.sum() < alpha * sum(images for _, images, _ in counts) + 4 * deviation
    inside = np.mean([law.ppf(0.025) <= f <= law.ppf(0.975) for law, f in zip(laws, flagged, strict=True)])
    assert inside > 0.95 - 4 * np.sqrt(0.95 * 0.05 / len(counts))


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.1])
def test_conformal_promise_on_synthetic_scores(alpha: float) -> None:
    counts: Counts = []
    for seed in range(SEEDS):
        scores = np.random.default_rng(seed).standard_cauchy(500)
        flagged = ConformalThreshold(scores[:200], alpha).judge(scores[200:]).attack
        counts.append((int(flagged.sum()), 300, 200))
    assert_promise_kept(counts, alpha)


def test_conformal_promise_on_real_features() -> None:
    samples, labels = load_digits(return_X_y=True)
    counts: Counts = []
    p_values = []
    for seed in range(SEEDS):
        order = np.random.default_rng(seed).permutation(len(samples))
        learned, clean = order[:1000], order[1000:]
        model = SimDNN(alpha=0.05, random_state=seed).fit(samples[learned], labels[learned])
        found = model.detect(samples[clean])
        counts.append((int(found.attack.sum()), len(clean), len(model.calibration_samples_)))
        assert found.p_values is not None
        p_values.append(found.p_values)
        assert len(np.unique(found.scores)) > 0.99 * len(clean)  # a score that says something of each image
        assert found.scores.std() > 0.02
    assert_promise_kept(counts, 0.05)
    pooled = np.concatenate(p_values)
    n = np.mean([n for _, _, n in counts])
    for t in (0.01, 0.05, 0.1, 0.25, 0.5, 0.9):  # super-uniform: P(p <= t) <= t
        assert (pooled <= t).mean() <= t + 4 * np.sqrt(t * (1 - t) * (1 / n + 1 / 797) / SEEDS)


def test_ties_can_only_make_p_values_larger() -> None:
    rates = []
    for seed in range(SEEDS):
        scores = np.random.default_rng(seed).integers(4, size=300).astype(float)
        rates.append(ConformalThreshold(scores[:100], 0.3).judge(scores[100:]).attack.mean())
    assert 0.2 < np.mean(rates) < 0.3


@pytest.mark.parametrize("m", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("shift", [0.0, -0.4])
def test_stream_equals_the_one_that_remembers_everything(m: float, shift: float) -> None:
    rng = np.random.default_rng(1)
    start, later = rng.beta(5, 2, 100), np.clip(rng.beta(5, 2, 300) + shift * (np.arange(300) % 3 == 0), 0, 1)
    stream = RecursiveThreshold.of(start, m)
    expected = naive.stream(start.tolist(), later.tolist(), m)
    assert_array_equal(stream.judge(later).attack, expected)
    assert sum(expected) > 0 or m == 3.0
    kept = later[~np.array(expected)]
    every = np.concatenate([start, kept])
    assert stream.count == len(every)
    assert_allclose([stream.mean, stream.deviation], [every.mean(), every.std()], rtol=0, atol=1e-10)
    assert stream.offset == stream.mean - m * stream.deviation


def test_one_by_one_equals_a_batch_and_reports_what_it_compared_with() -> None:
    scores = np.random.default_rng(0).beta(5, 2, 200)
    single, batch = (RecursiveThreshold.of(scores[:50], 1.5) for _ in range(2))
    judgement = batch.judge(scores[50:])
    assert_array_equal([single.flag(score) for score in scores[50:]], judgement.attack)
    assert_array_equal(judgement.attack, scores[50:] < judgement.offsets)
    assert judgement.p_values is None
    assert single == batch


def test_a_flood_of_attacks_teaches_nothing() -> None:
    clean, flood = np.random.default_rng(0).normal(0.8, 0.02, 100), np.full(200, 0.3)
    protected = RecursiveThreshold.of(clean, 3.0)
    before = (protected.count, protected.mean, protected.scatter)
    assert protected.judge(flood).attack.all()
    assert (protected.count, protected.mean, protected.scatter) == before


def test_a_stream_that_starts_from_nothing() -> None:
    stream = RecursiveThreshold()
    assert (stream.deviation, stream.offset) == (0.0, 0.0)
    assert not stream.flag(0.4)
    assert (stream.count, stream.mean, stream.deviation) == (1, 0.4, 0.0)


def test_each_class_keeps_the_promise_where_one_scores_lower() -> None:
    counts: dict[str, Counts] = {"high": [], "low": []}
    together = []
    for seed in range(SEEDS):
        draw = np.random.default_rng(seed)
        labels = np.where(draw.random(600) < 0.3, "low", "high")
        scores = draw.normal(size=600) - 2 * (labels == "low")
        known, new = slice(300), slice(300, None)
        threshold = MondrianThreshold(scores[known], labels[known], ["high", "low"], 0.1)
        judged = threshold.judge(scores[new], labels[new])
        for label, found in counts.items():
            own = labels[new] == label
            found.append((int(judged.attack[own].sum()), int(own.sum()), int((labels[known] == label).sum())))
            part = ConformalThreshold(scores[known][labels[known] == label], 0.1).judge(scores[new][own])
            assert part.p_values is not None
            assert judged.p_values is not None
            assert_array_equal(judged.p_values[own], part.p_values)
        flagged = ConformalThreshold(scores[known], 0.1).judge(scores[new]).attack
        together.append(flagged[labels[new] == "low"].mean())
    for found in counts.values():
        assert_promise_kept(found, 0.1)
    assert np.mean(together) > 0.25  # one threshold for all puts its false alarms on the lower class


def test_a_class_without_enough_images_is_named() -> None:
    labels = np.array(["cat"] * 19 + ["dog"] * 18)
    with pytest.raises(InputError, match=r"^class dog: 18 calibration images .* give at least 19"):
        MondrianThreshold(np.arange(37.0), labels, ["cat", "dog"], 0.05)
    with pytest.raises(InputError, match="class fox: 0 calibration images"):
        MondrianThreshold(np.arange(37.0), labels, ["cat", "fox"], 0.1)


def test_a_label_without_a_threshold_is_refused() -> None:
    labels = np.array(["cat"] * 9 + ["dog"] * 9)
    threshold = MondrianThreshold(np.arange(18.0), labels, ["cat", "dog"], 0.1)
    with pytest.raises(InputError) as refused:
        threshold.judge(np.array([1.0, 2.0]), np.array(["dog", "fox"]))
    assert str(refused.value) == (
        "expected labels among cat, dog; got fox; calibrate a threshold for that class too"
    )
    with pytest.raises(InputError, match=r"^a threshold for each class needs the labels of the samples$"):
        threshold.judge(np.array([1.0]))
