"""What the estimator says to features, labels and parameters that are not as they should be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from tests.paper.datasets import random

from simdnn.errors import InputError
from simdnn.paper.estimator import SimDNN
from simdnn.paper.prototypes import SigmaKind

SAMPLES, LABELS = random(4, count=100, classes=2)


def model(**parameters: Any) -> SimDNN:
    return SimDNN(**{"alpha": 0.2} | parameters).fit(SAMPLES, LABELS)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"rule": "best"}, "^no rule 'best'; the rules are published, similarity$"),
        ({"sigma": "each"}, "^sigma is 'shared', 'class' or 'prototype'; got 'each'$"),
        ({"alpha": 0}, "^alpha is a false-alarm rate, expected between 0 and 1; got 0$"),
        ({"alpha": 5}, "expected between 0 and 1; got 5$"),
        ({"alpha": float("nan")}, "expected between 0 and 1; got nan$"),
        ({"m": -1.0}, r"^m is a number of deviations, expected 0 or more; got -1\.0$"),
        ({"m": float("nan")}, "expected 0 or more; got nan$"),
        ({"calibration": 0.6}, r"calibration is 0 or in \(0, 0\.5\]; got 0\.6$"),
        ({"random_state": None}, "^random_state is a seed, expected a whole number from 0; got None$"),
        ({"random_state": -1}, "expected a whole number from 0; got -1$"),
        ({"random_state": 0.5}, r"expected a whole number from 0; got 0\.5$"),
    ],
)
def test_parameters(parameters: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        model(**parameters)


def test_a_rule_or_rate_given_later() -> None:
    with pytest.raises(InputError, match="no rule 'best'; the rules are"):
        model().detect(SAMPLES, rule="best")
    with pytest.raises(InputError, match="no rule 'best'; the rules are"):
        model().score_samples(SAMPLES, rule="best")
    with pytest.raises(
        InputError, match=r"20 calibration images cannot promise a false-alarm rate of 0\.01; give"
    ):
        model().detect(SAMPLES, alpha=0.01)
    with pytest.raises(InputError, match="expected between 0 and 1; got 0"):
        model().detect(SAMPLES, alpha=0)


def with_value(value: float) -> Any:
    changed = SAMPLES.copy()
    changed[3, 2] = value
    return changed


BAD_FEATURES = [
    pytest.param(with_value(np.nan), "Input X contains NaN", id="missing"),
    pytest.param(with_value(np.inf), "Input X contains infinity", id="infinite"),
    pytest.param(SAMPLES[:0], r"Found array with 0 sample\(s\)", id="empty"),
    pytest.param(SAMPLES[:, :0], r"0 feature\(s\)", id="no feature"),
    pytest.param(SAMPLES[0], "Expected 2D array, got 1D array instead", id="flat"),
    pytest.param([["a", "b", "c", "d"]], "could not convert string to float", id="text"),
]


@pytest.mark.parametrize(("features", "text"), BAD_FEATURES)
def test_features_that_are_none(features: Any, text: str) -> None:
    fitted = model()
    for ask in (fitted.predict, fitted.detect, fitted.calibrate, fitted.score_samples):
        with pytest.raises(ValueError, match=text):
            ask(features)
    with pytest.raises(ValueError, match=text):
        SimDNN().fit(features, LABELS[: len(features)])


def test_features_of_another_width() -> None:
    text = "X has 3 features, but SimDNN is expecting 4 features as input"
    fitted = model()
    for ask in (fitted.predict, fitted.detect, fitted.calibrate):
        with pytest.raises(ValueError, match=text):
            ask(SAMPLES[:, :3])
    with pytest.raises(ValueError, match=text):
        fitted.partial_fit(SAMPLES[:, :3], LABELS)


def test_features_too_large_to_square() -> None:
    text = r"^expected features up to 1e\+100, so that their squares stay finite; scale them$"
    for sign in (1, -1):
        with pytest.raises(InputError, match=text):
            SimDNN().fit(sign * 1e200 * np.abs(SAMPLES), LABELS)
    assert model().detect(1e200 * SAMPLES[:3]).attack.all()


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (LABELS[:5], r"inconsistent numbers of samples: \[100, 5\]"),
        (SAMPLES[:, 0], "Unknown label type: continuous"),
        (np.where(LABELS, 1.0, np.nan), "Input y contains NaN"),
    ],
)
def test_labels_that_are_none(labels: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        SimDNN().fit(SAMPLES, labels)


def test_a_refused_batch_leaves_what_was_known() -> None:
    fitted, untouched = model(), model()
    for features, labels in [(with_value(np.nan), LABELS), (SAMPLES, LABELS[:5]), (1e200 * SAMPLES, LABELS)]:
        with pytest.raises(ValueError, match=r"NaN|inconsistent|finite"):
            fitted.partial_fit(features, labels)
    assert_array_equal(fitted.detect(SAMPLES).scores, untouched.detect(SAMPLES).scores)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fitted.calibrate(SAMPLES, LABELS[:5])
    assert len(fitted.calibration_samples_) == 20


@pytest.mark.parametrize(
    ("names", "dtype"),
    [
        ([0, 1], "int"),
        (["cat", "dog"], "str"),
        (["a/b", "a/b/0"], "str"),
        ([False, True], "bool"),
        ([-1, 7], "int"),
    ],
)
def test_labels_come_back_as_they_went_in(names: list[Any], dtype: str) -> None:
    labels = np.array(names)[LABELS]
    fitted = SimDNN(alpha=0.2).fit(SAMPLES, labels)
    assert fitted.classes_.tolist() == names
    assert fitted.predict(SAMPLES).dtype.kind == np.array(names).dtype.kind
    assert (fitted.predict(SAMPLES) == labels).mean() > 0.8
    assert fitted.detect(SAMPLES).labels.tolist() == fitted.predict(SAMPLES).tolist()


def test_a_class_may_be_1_in_one_batch_and_1_0_in_the_next() -> None:
    fitted = model().partial_fit(SAMPLES, LABELS.astype(float))
    assert fitted.classes_.tolist() == [0.0, 1.0]
    assert (fitted.predict(SAMPLES) == LABELS).mean() > 0.8
    assert fitted.predict_proba(SAMPLES).shape == (100, 2)


def test_constant_features_change_nothing() -> None:
    padded = np.hstack([SAMPLES, np.full((100, 2), 0.5)])
    wide, narrow = SimDNN(alpha=0.2).fit(padded, LABELS), model()
    np.testing.assert_allclose(wide.detect(padded).scores, narrow.detect(SAMPLES).scores, rtol=1e-12)
    assert_array_equal(wide.detect(padded).attack, narrow.detect(SAMPLES).attack)


def test_a_class_of_identical_samples_is_one_prototype() -> None:
    samples = np.concatenate([np.full((30, 3), 0.1), np.random.default_rng(0).normal(5, 1, (30, 3))])
    fitted = SimDNN(alpha=0.2).fit(samples, ["same"] * 30 + ["other"] * 30)
    same = [p for p in fitted.prototypes_ if p.label == "same"]
    assert [(p.id, p.support, p.sigma) for p in same] == [("same/0", 24, 0.0)]
    assert fitted.predict([[0.1, 0.1, 0.1], [0.3, 0.0, 0.2], [5.0, 5.0, 5.0]]).tolist() == [
        "same",
        "same",
        "other",
    ]


@pytest.mark.parametrize("sigma", ["shared", "class", "prototype"])
def test_nothing_but_identical_samples(sigma: SigmaKind) -> None:
    fitted = SimDNN(sigma=sigma, alpha=0.2, calibration=0.5).fit(np.ones((20, 2)), [1] * 20)
    found = fitted.detect([[1.0, 1.0], [1.0, 1.1]])
    other = 1 / 1.01 if sigma == "shared" else 0  # without any variance the shared sigma is 1
    assert found.scores.tolist() == pytest.approx([1, other])
    assert (found.attack.tolist(), found.labels.tolist()) == ([False, True], [1, 1])
    assert_array_equal(fitted.predict_proba([[5.0, 5.0]]), [[1.0]])


def test_single_samples_label_what_is_near_them() -> None:
    fitted = SimDNN(calibration=0).fit([[0.0], [10.0]], ["a", "b"])
    assert fitted.predict([[1.0], [9.0], [11.0]]).tolist() == ["a", "b", "b"]
    assert fitted.prototypes_.variances.tolist() == [25, 25]


def test_too_few_calibration_samples_for_the_published_rule() -> None:
    fitted = SimDNN(rule="published", calibration=0).fit(SAMPLES, LABELS).calibrate(SAMPLES[:9])
    with pytest.raises(
        InputError, match=r"9 calibration samples are too few .* with 9 or fewer none can lie m = 3"
    ):
        fitted.detect(SAMPLES)
    assert not fitted.calibrate(SAMPLES[:10]).detect(SAMPLES[:1]).attack[0]


def test_duplicates_join_and_found_nothing() -> None:
    once, twice = (
        SimDNN(calibration=0).fit(np.repeat(SAMPLES, n, axis=0), np.repeat(LABELS, n)) for n in (1, 2)
    )
    assert twice.prototypes_.support.sum() == 200
    assert len(twice.prototypes_) <= 2 * len(once.prototypes_)
    vectors = np.unique(twice.prototypes_.vectors, axis=0)
    assert len(vectors) == len(twice.prototypes_)


def test_a_class_of_one_sample() -> None:
    samples, labels = np.vstack([SAMPLES, [[50.0] * 4]]), [*LABELS.tolist(), 9]
    sigmas: list[SigmaKind] = ["shared", "class", "prototype"]
    for sigma in sigmas:
        fitted = SimDNN(alpha=0.2, sigma=sigma).fit(samples, labels)
        assert fitted.predict([[49.0] * 4]).tolist() == [9]
        assert fitted.prototypes_["9/0"].exemplar == 100
        assert 9 not in fitted.calibration_labels_


def test_one_class_alone() -> None:
    fitted = SimDNN(alpha=0.2).fit(SAMPLES, ["only"] * 100)
    assert set(fitted.predict(SAMPLES)) == {"only"}
    assert_array_equal(fitted.predict_proba(SAMPLES), np.ones((100, 1)))
    assert fitted.decision_function(SAMPLES).shape == (100, 1)
    assert fitted.detect([[50.0] * 4]).attack.tolist() == [True]


def test_one_sample_alone_has_nothing_to_calibrate_on() -> None:
    fitted = SimDNN().fit([[0.5, 0.5]], ["a"])
    assert fitted.predict([[9.0, 9.0]]).tolist() == ["a"]
    with pytest.raises(
        InputError,
        match=r"^no samples were held out to calibrate on; fit with calibration > 0 and more samples, "
        r"or call calibrate\(X\) with clean samples that were not learned$",
    ):
        fitted.detect([[9.0, 9.0]])


def test_one_feature() -> None:
    fitted = SimDNN(alpha=0.2).fit(SAMPLES[:, :1], LABELS)
    assert fitted.similarities([[0.0]]).shape == (1, len(fitted.prototypes_))
    assert fitted.detect([[100.0]]).attack.tolist() == [True]


def test_integers_and_lists_are_features_too() -> None:
    rounded = np.round(10 * SAMPLES).astype(int)
    as_floats = SimDNN(alpha=0.2).fit(rounded.astype(float), LABELS)
    for features in (
        rounded,
        rounded.tolist(),
        rounded.astype(np.int8 if abs(rounded).max() < 128 else np.int16),
    ):
        fitted = SimDNN(alpha=0.2).fit(features, LABELS)
        assert_array_equal(fitted.detect(features).scores, as_floats.detect(rounded).scores)
