"""The estimator: exact against the paper, the same however it is taught, and following every edit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from tests import naive
from tests.paper.datasets import TABLES, Table, random, real
from tests.paper.reference import nearest_label

from simdnn.paper.estimator import SimDNN
from simdnn.paper.m_sigma import RecursiveThreshold
from simdnn.paper.prototypes import SigmaKind

FIELDS = ("vectors", "support", "scatter", "exemplars", "exemplar_vectors", "serials")


def assert_same_bits(one: SimDNN, other: SimDNN) -> None:
    assert_array_equal(one.classes_, other.classes_, strict=True)
    assert set(one.prototypes_.classes) == set(other.prototypes_.classes)
    for name, model in one.prototypes_.classes.items():
        twin = other.prototypes_.classes[name]
        for field in FIELDS:
            assert_array_equal(getattr(model, field), getattr(twin, field), err_msg=f"{name} {field}")
        assert_array_equal(model.moments.mean, twin.moments.mean)
        assert (model.moments.count, model.moments.scatter) == (twin.moments.count, twin.moments.scatter)
    assert_array_equal(one.calibration_samples_, other.calibration_samples_)
    assert_array_equal(one.calibration_labels_, other.calibration_labels_)


@pytest.mark.parametrize("name", TABLES)
def test_scores_labels_and_both_rules_equal_the_paper(name: str) -> None:
    samples, labels = TABLES[name]
    samples, labels = samples[:330], labels[:330]
    third = len(samples) // 3
    known, kept, new = samples[:third], samples[third : 2 * third], samples[2 * third :]
    new = np.concatenate([new, new[:40] + 1.5])  # and some that belong nowhere
    model = SimDNN(calibration=0, alpha=0.1, m=2.0).fit(known, labels[:third]).calibrate(kept)

    parts = [known[labels[:third] == label] for label in np.unique(labels[:third])]
    classes = [naive.learn(part) for part in parts]
    owner = np.repeat(np.unique(labels[:third]), [len(learned.vectors) for learned in classes])
    before, after = (naive.similarities(x, classes, parts) for x in (kept, new))

    published = model.detect(new, rule="published")
    start, scores = ([naive.winning_lambda(row) for row in rows.tolist()] for rows in (before, after))
    assert_allclose(published.scores, scores, rtol=0, atol=1e-10)
    assert_array_equal(published.attack, naive.stream(start, scores, 2.0))
    assert_array_equal(published.attack, published.scores < published.thresholds)
    assert published.p_values is None

    similar = model.detect(new, rule="similarity")
    assert_allclose(similar.similarities, after, rtol=0, atol=1e-10)
    assert_allclose(similar.scores, after.max(axis=1), rtol=0, atol=1e-10)
    p_values = [naive.p_value(before.max(axis=1).tolist(), score) for score in after.max(axis=1)]
    assert similar.p_values is not None
    assert_allclose(similar.p_values, p_values, rtol=0, atol=1e-10)
    assert_array_equal(similar.attack, np.array(p_values) <= 0.1)
    assert_array_equal(similar.labels, owner[after.argmax(axis=1)])
    assert_array_equal(model.predict(new), similar.labels)

    mass = [[(row * model.prototypes_.support)[owner == c].sum() for c in np.unique(owner)] for row in after]
    expected = np.array(mass) / np.sum(mass, axis=1, keepdims=True)
    assert_allclose(model.predict_proba(new), expected, rtol=0, atol=1e-10)


def test_predict_is_eq_1_where_sigma_is_shared() -> None:
    samples, labels = real("digits")
    model = SimDNN().fit(samples[:500], labels[:500])
    nearest = nearest_label(samples[500:], model.prototypes_.vectors, model.prototypes_.labels)
    assert_array_equal(model.predict(samples[500:]).astype(str), nearest)
    assert (model.predict(samples[500:]) == labels[500:]).mean() > 0.85


def test_decision_function_is_the_largest_lambda_of_each_class() -> None:
    samples, labels = real("iris")
    model = SimDNN().fit(samples, labels)
    decision = model.decision_function(samples)
    assert_array_equal(model.classes_[decision.argmax(axis=1)], model.predict(samples))
    assert_allclose(decision.max(axis=1), model.score_samples(samples, rule="published"))
    two = SimDNN().fit(samples[labels < 2], labels[labels < 2])
    assert_array_equal((two.decision_function(samples) > 0).astype(int), two.predict(samples))


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 239), max_size=5, unique=True), kind=st.sampled_from([0, 0.2, 0.5]))
def test_batches_change_no_bit(cuts: list[int], kind: float) -> None:
    samples, labels = random(9)
    whole, parts = SimDNN(calibration=kind).fit(samples, labels), SimDNN(calibration=kind)
    for x, y in zip(np.split(samples, sorted(cuts)), np.split(labels, sorted(cuts)), strict=True):
        parts.partial_fit(x, y)
    assert_same_bits(parts, whole)


def test_one_sample_at_a_time_changes_no_bit_and_no_verdict() -> None:
    samples, labels = real("digits")
    samples, labels = samples[:150], labels[:150]
    whole, parts = SimDNN(alpha=0.1).fit(samples, labels), SimDNN(alpha=0.1)
    for x, y in zip(samples[:, None], labels[:, None], strict=True):
        parts.partial_fit(x, y)
    assert_same_bits(parts, whole)
    assert_array_equal(parts.detect(samples).attack, whole.detect(samples).attack)


@pytest.mark.parametrize("shuffle", [False, True])
def test_jobs_change_no_bit(shuffle: bool) -> None:
    samples, labels = real("digits")
    one, two = (SimDNN(shuffle=shuffle, n_jobs=n).fit(samples, labels) for n in (1, 2))
    assert_same_bits(one, two)


def test_fit_forgets() -> None:
    model = SimDNN().fit(*random(4))
    assert_same_bits(model.fit(*random(9)), SimDNN().fit(*random(9)))


def test_shuffling_is_seeded_and_changes_the_order_only() -> None:
    samples, labels = random(9)
    plain, first, again, other = (
        SimDNN(shuffle=shuffle, random_state=seed, calibration=0).fit(samples, labels)
        for shuffle, seed in [(False, 0), (True, 0), (True, 0), (True, 1)]
    )
    assert_same_bits(first, again)
    assert len({tuple(model.prototypes_.support) for model in (plain, first, other)}) == 3
    for name, moments in ((name, model.moments) for name, model in plain.prototypes_.classes.items()):
        assert first.prototypes_.classes[name].moments.count == moments.count
        assert_allclose(first.prototypes_.classes[name].moments.mean, moments.mean, rtol=1e-12)


def test_exemplars_and_calibration_samples_are_rows_as_given() -> None:
    samples, labels = random(9)
    for shuffle in (False, True):
        model = SimDNN(shuffle=shuffle).fit(samples, labels)
        for name, learned in model.prototypes_.classes.items():
            assert_array_equal(samples[learned.exemplars], learned.exemplar_vectors)
            assert (labels[learned.exemplars] == int(name)).all()
        where = [int(np.flatnonzero((samples == row).all(axis=1))[0]) for row in model.calibration_samples_]
        assert_array_equal(where, np.unique(where))
        assert_array_equal(model.calibration_labels_, labels[where])
        exemplars = {int(i) for learned in model.prototypes_.classes.values() for i in learned.exemplars}
        assert not exemplars & set(where)
        taught = sum(learned.moments.count for learned in model.prototypes_.classes.values())
        assert taught + len(where) == len(samples)


def test_a_new_class_may_come_later_and_changes_no_other() -> None:
    samples, labels = random(9)
    old = labels < 2
    model = SimDNN().fit(samples[old], labels[old])
    before = {p.id: p.vector.tolist() for p in model.prototypes_}
    model.partial_fit(samples[~old], labels[~old])
    assert model.classes_.tolist() == [0, 1, 2]
    assert {p.id: p.vector.tolist() for p in model.prototypes_ if p.label != "2"} == before
    assert (model.predict(samples[~old]) == 2).mean() > 0.9
    assert model.predict_proba(samples).shape == (240, 3)


def test_announced_classes_keep_their_column() -> None:
    samples, labels = random(9)
    model = SimDNN().partial_fit(samples[labels == 1], labels[labels == 1], classes=[0, 1, 2])
    assert model.classes_.tolist() == [0, 1, 2]
    assert_array_equal(model.predict_proba(samples[:2]), [[0, 1, 0], [0, 1, 0]])
    assert_array_equal(model.predict(samples[:2]), [1, 1])


def test_verdicts_follow_an_edit_and_so_does_the_threshold() -> None:
    samples, labels = real("iris")
    model = SimDNN(alpha=0.1).fit(samples, labels)
    far = np.full((1, 4), 3.0)
    before = model.detect(samples)
    assert model.detect(far).attack.tolist() == [True]
    new = model.prototypes_.add("alien", far[0])
    assert model.detect(far).attack.tolist() == [False]
    assert model.detect(far).labels.tolist() == ["alien"]
    assert model.classes_.tolist() == ["0", "1", "2", "alien"]
    model.prototypes_.remove(new)
    assert_array_equal(model.detect(samples).scores, before.scores)
    for p in [p for p in model.prototypes_ if p.label == "2"]:
        model.prototypes_.remove(p.id)
    after = model.detect(samples)
    assert after.thresholds[0] < before.thresholds[0]  # the calibration images of class 2 look strange now
    assert "2" not in after.labels


def test_a_prototype_relabelled_gives_its_new_label() -> None:
    model = SimDNN(calibration=0).fit([[0.0], [1.0], [5.0], [6.0]], ["a", "a", "b", "b"])
    assert model.predict([[0.1]]).tolist() == ["a"]
    model.prototypes_.relabel("a/0", "c")
    assert model.predict([[0.1], [1.1]]).tolist() == ["c", "a"]
    assert model.classes_.tolist() == ["a", "b", "c"]


def test_the_published_stream_is_carried_on_by_its_threshold() -> None:
    samples, labels = real("digits")
    model = SimDNN(rule="published", m=1.0).fit(samples[:500], labels[:500])
    whole, stream = model.detect(samples[500:]), model.threshold()
    parts = [model.detect(part, threshold=stream) for part in np.split(samples[500:], [7, 100])]
    assert_array_equal(np.concatenate([part.attack for part in parts]), whole.attack)
    assert_array_equal(np.concatenate([part.thresholds for part in parts]), whole.thresholds)
    assert isinstance(stream, RecursiveThreshold)
    assert 0 < whole.attack.sum() < 150
    assert stream.count == len(model.calibration_samples_) + (~whole.attack).sum()
    assert len(np.unique(whole.scores)) > 290


@pytest.mark.parametrize("rule", ["similarity", "published"])
@pytest.mark.parametrize("sigma", ["shared", "class", "prototype"])
def test_scores_are_shares_or_similarities(rule: str, sigma: SigmaKind) -> None:
    samples, labels = real("wine")
    model = SimDNN(rule=rule, sigma=sigma, alpha=0.2).fit(samples, labels)
    scores = model.score_samples(samples)
    assert scores.min() > 0
    assert scores.max() <= 1
    assert scores.std() > 0.01
    assert (model.predict(samples) == labels).mean() > 0.75
    assert model.detect(samples).attack.dtype == np.bool_


def test_calibrating_on_other_samples_moves_the_threshold() -> None:
    samples, labels = real("wine")
    model = SimDNN(alpha=0.1).fit(samples, labels)
    scores = np.sort(model.score_samples(samples[:39]))
    assert model.calibrate(samples[:39], labels[:39]).threshold().offset == scores[3]
    assert_array_equal(model.calibration_labels_, labels[:39])
    assert_array_equal(model.calibrate(samples[:39]).calibration_labels_, model.predict(samples[:39]))


@pytest.mark.parametrize("table", [TABLES["digits"], TABLES["wine"]], ids=["digits", "wine"])
def test_float32_and_float64_judge_alike(table: Table) -> None:
    single = table[0].astype(np.float32)
    one, two = (SimDNN(alpha=0.2).fit(x, table[1]) for x in (single, single.astype(np.float64)))
    assert one.calibration_samples_.dtype == np.float32
    assert_array_equal(one.detect(single).scores, two.detect(single.astype(np.float64)).scores)
    assert one.score_samples(single).dtype == np.float64


def test_nothing_is_told_before_fitting() -> None:
    for ask in (SimDNN().predict, SimDNN().detect, SimDNN().calibrate, SimDNN().predict_proba):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            ask([[0.0]])
