"""The editable set: what an edit changes, and everything that it does not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from tests.paper.datasets import random, real

from simdnn.errors import InputError
from simdnn.paper.equations import similarity
from simdnn.paper.learning import learn
from simdnn.paper.prototypes import Prototype, PrototypeSet, SigmaKind


def learned(sigma: SigmaKind = "shared", *, keep: slice = slice(None)) -> PrototypeSet:
    samples, labels = random(5, seed=4)
    samples, labels = samples[keep], labels[keep]
    prototypes = PrototypeSet(5, sigma)
    for label, name in enumerate(["cat", "dog", "sea/lion"]):
        (rows,) = np.nonzero(labels == label)
        learn(prototypes.model(name), samples[rows], rows)
    return prototypes


def by_id(prototypes: PrototypeSet) -> dict[str, tuple[Prototype, list[float]]]:
    return {p.id: (p, p.vector.tolist()) for p in prototypes}


def test_arrays_and_iteration_tell_the_same() -> None:
    prototypes = learned()
    listed = list(prototypes)
    assert len(prototypes) == len(listed) == len(prototypes.labels) == len(prototypes.variances)
    assert_array_equal(prototypes.labels, [p.label for p in listed])
    assert_array_equal(prototypes.vectors, [p.vector for p in listed])
    assert_array_equal(prototypes.support, [p.support for p in listed])
    assert prototypes.support.sum() == 240
    assert len({p.id for p in listed}) == len(listed)
    assert prototypes["sea/lion/1"].label == "sea/lion"
    assert prototypes["sea/lion/1"] == next(p for p in listed if p.id == "sea/lion/1")


def test_exemplars_are_samples_of_the_class() -> None:
    samples, labels = random(5, seed=4)
    for p in learned():
        assert ["cat", "dog", "sea/lion"][labels[p.exemplar]] == p.label
        if p.support == 1:
            assert_array_equal(samples[p.exemplar], p.vector)
            assert p.sigma == 0.0


def test_removing_one_changes_no_other() -> None:
    for gone in by_id(learned()):
        prototypes = learned()
        before, similarities = by_id(prototypes), prototypes.similarity(np.eye(5))
        column = list(before).index(gone)
        prototypes.remove(gone)
        del before[gone]
        assert by_id(prototypes) == before
        assert_array_equal(prototypes.similarity(np.eye(5)), np.delete(similarities, column, axis=1))
        with pytest.raises(
            InputError, match=f"^no prototype '{gone}'; the class '{gone.rpartition('/')[0]}' has"
        ):
            prototypes.remove(gone)


def test_ids_are_never_used_again() -> None:
    prototypes = learned()
    last = [p.id for p in prototypes if p.label == "dog"][-1]
    prototypes.remove(last)
    added = prototypes.add("dog", np.ones(5))
    assert added not in by_id(learned())
    assert int(added.rpartition("/")[2]) == int(last.rpartition("/")[2]) + 1
    learn(prototypes.model("dog"), 50 + np.eye(5), np.arange(5))
    ids = [p.id for p in prototypes]
    assert len(ids) == len(set(ids))
    assert last not in ids


def test_adding_changes_no_other_and_is_seen_at_once() -> None:
    prototypes, point = learned(), np.full(5, 9.0)
    before = by_id(prototypes)
    new = prototypes.add("owl", point, exemplar=17)
    after = by_id(prototypes)
    assert new == "owl/0"
    assert {name: p for name, p in after.items() if name != new} == before
    assert (after[new][0].support, after[new][0].exemplar, after[new][0].sigma) == (1, 17, 0.0)
    assert prototypes.labels[prototypes.similarity(point[None]).argmax()] == "owl"
    point[:] = 0
    assert_array_equal(prototypes[new].vector, np.full(5, 9.0))


def test_relabelling_moves_one_and_keeps_what_it_is() -> None:
    prototypes = learned()
    before = by_id(prototypes)
    moved = prototypes.relabel("cat/1", "dog")
    after = by_id(prototypes)
    old, vector = before.pop("cat/1")
    assert moved not in before
    new, new_vector = after.pop(moved)
    assert after == before
    assert (new.label, new.support, new.sigma, new.exemplar) == ("dog", old.support, old.sigma, old.exemplar)
    assert new_vector == vector
    assert prototypes.relabel(moved, "bird") == "bird/0"
    with pytest.raises(InputError, match=r"^bird/0 already has the label 'bird'$"):
        prototypes.relabel("bird/0", "bird")


def test_a_class_can_be_emptied_and_filled_again() -> None:
    prototypes = learned()
    for name in [p.id for p in prototypes if p.label == "cat"]:
        prototypes.remove(name)
    assert "cat" not in prototypes.labels
    assert np.isfinite(prototypes.similarity(np.eye(5))).all()
    known = len(prototypes)
    learn(prototypes.model("cat"), np.ones((1, 5)), np.array([3]))
    assert len(prototypes) == known + 1
    assert_array_equal(next(p.vector for p in prototypes if p.label == "cat"), np.ones(5))


def test_the_last_prototype_stays() -> None:
    prototypes = PrototypeSet(2)
    only = prototypes.add("a", [0.0, 1.0])
    with pytest.raises(InputError, match=r"^a/0 is the only prototype left; add another before removing it$"):
        prototypes.remove(only)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("cow/0", "no prototype 'cow/0'; the classes are cat, dog, sea/lion"),
        ("cat", "no prototype 'cat'; the classes are"),
        ("cat/x", "no prototype 'cat/x'; the class 'cat' has cat/0, cat/1"),
        ("cat/999", "no prototype 'cat/999'; the class 'cat' has"),
        ("", "no prototype ''; the classes are"),
    ],
)
def test_unknown_ids(wrong: str, text: str) -> None:
    for act in (learned().remove, learned().__getitem__):
        with pytest.raises(InputError, match=text):
            act(wrong)


@pytest.mark.parametrize(
    ("vector", "text"),
    [
        ([1.0, 2.0], r"takes 5 finite features; got an array of shape \(2,\)$"),
        (np.ones((1, 5)), r"got an array of shape \(1, 5\)$"),
        ([1, 2, 3, 4, np.nan], r"shape \(5,\) with missing or infinite values"),
        ([1, 2, 3, 4, -np.inf], "with missing or infinite values"),
    ],
)
def test_vectors_that_cannot_be_prototypes(vector: list[float], text: str) -> None:
    with pytest.raises(InputError, match=text):
        learned().add("cat", vector)


def test_shared_sigma_is_the_pooled_variance_within_classes() -> None:
    samples, labels = random(5, seed=4)
    within = (
        sum(((samples[labels == c] - samples[labels == c].mean(axis=0)) ** 2).sum() for c in range(3)) / 240
    )
    assert_allclose(learned().variances, within, rtol=1e-12)


def test_class_sigma_is_the_variance_of_the_class() -> None:
    samples, labels = random(5, seed=4)
    prototypes = learned("class")
    for c, name in enumerate(["cat", "dog", "sea/lion"]):
        own = samples[labels == c]
        spread = ((own - own.mean(axis=0)) ** 2).sum(axis=1).mean()
        assert_allclose(prototypes.variances[prototypes.labels == name], spread, rtol=1e-12)


def test_prototype_sigma_is_its_own_or_that_of_its_class() -> None:
    prototypes, of_class = learned("prototype"), learned("class").variances
    single = prototypes.support < 2
    assert 0 < single.sum() < len(single)
    assert_array_equal(prototypes.variances[single], of_class[single])
    own = [p.sigma**2 for p in prototypes if p.support > 1]
    assert_allclose(prototypes.variances[~single], own, rtol=1e-12)


def test_a_class_of_one_sample_takes_the_shared_sigma() -> None:
    shared = learned().variances[0]
    for kind in ("class", "prototype"):
        prototypes = learned(kind)
        prototypes.add("owl", np.ones(5))
        assert prototypes.variances[prototypes.labels == "owl"] == pytest.approx(shared)


def test_similarity_is_eq_10() -> None:
    samples = random(5, seed=9)[0][:20]
    for kind in ("shared", "class", "prototype"):
        prototypes = learned(kind)
        expected = similarity(samples, prototypes.vectors, prototypes.variances)
        assert_array_equal(prototypes.similarity(samples), expected)


def test_digits_need_few_prototypes() -> None:
    samples, labels = real("digits")
    prototypes = PrototypeSet(64)
    for label in range(10):
        learn(prototypes.model(str(label)), samples[labels == label], np.flatnonzero(labels == label))
    assert 30 < len(prototypes) < 150


def test_a_removed_prototype_comes_back_in_its_place_with_its_id() -> None:
    rng = np.random.default_rng(0)
    prototypes = PrototypeSet(4)
    for vector in rng.random((5, 4)):
        prototypes.add("a", vector)
    whole = prototypes.model("a").take(np.arange(5))
    for row in (1, 4, 0):
        prototypes.remove(f"a/{row}")
    for row in (4, 0, 1):
        assert prototypes.restore("a", whole.take(np.array([row]))) == f"a/{row}"
    again = prototypes.model("a")
    assert again.serials.tolist() == [0, 1, 2, 3, 4]
    assert (again.vectors == whole.vectors).all()
    assert again.next_serial == whole.next_serial
    with pytest.raises(InputError, match="a/1 is there already"):
        prototypes.restore("a", whole.take(np.array([1])))
