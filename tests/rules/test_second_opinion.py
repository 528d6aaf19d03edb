"""Which outputs belong together, and what a share of votes is worth beside the profile."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch

from simdnn.errors import InputError
from simdnn.rules.opinion_scale import PART, OpinionScale
from simdnn.rules.second_opinion import SecondOpinion, outputs_of_classes


def test_outputs_of_classes_have_the_largest_mean_probability_of_all_assignments() -> None:
    draw = np.random.default_rng(0)
    for _ in range(20):
        logits = draw.normal(size=(30, 5)).astype(np.float32)
        labels = np.repeat(["a", "b", "c"], 10)
        posterior = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        means = [posterior[labels == name].mean(axis=0) for name in "abc"]
        best = max(
            permutations(range(5), 3),
            key=lambda chosen: sum(m[o] for m, o in zip(means, chosen, strict=True)),
        )
        assert outputs_of_classes(logits, labels).tolist() == list(best)


def test_two_classes_that_share_their_usual_output_still_get_one_each() -> None:
    logits = np.log([[0.6, 0.3, 0.1]] * 2 + [[0.7, 0.1, 0.2]] * 2).astype(np.float32)
    assert outputs_of_classes(logits, np.array(["cat", "cat", "dog", "dog"])).tolist() == [1, 0]


def test_a_prediction_outside_of_the_classes_counts_for_nothing() -> None:
    both = SecondOpinion(("cat", "dog"), (3, 1), (0, 2))
    logits = np.array([[9.0, 2.0, 8.0, 1.0], [9.0, 1.0, 8.0, 2.0], [0.0, 5.0, 0.0, 1.0]])
    assert both.classes(logits, np.array([0, 2, 1])).tolist() == [1, 0, 1]
    assert both.classes(logits, np.array([3, 1, 3])).tolist() == [0, 1, 0]  # as an attacker wants it
    tensors = torch.from_numpy(logits)
    assert both.classes(tensors, torch.tensor([3, 2, 3])).tolist() == [0, 0, 0]
    shares = np.array([[0.5, 0.1, 0.4], [0.2, 0.7, 0.1]])
    assert both.share(shares, np.array([0, 1])).tolist() == [0.5, 0.1]


def test_an_auxiliary_network_that_does_not_know_a_class_is_refused() -> None:
    labels, logits = np.array(["cat", "dog", "owl"]), np.eye(3, dtype=np.float32)
    with pytest.raises(InputError, match=r"it lacks owl, and knows cat, dog; train it on the same classes"):
        SecondOpinion.learn(labels, logits, ("cat", "dog"))
    with pytest.raises(InputError, match="an output for each of 3 classes; it has 2"):
        SecondOpinion.learn(labels, logits[:, :2], ("cat", "dog", "owl"))


def scale() -> OpinionScale:
    draw = np.random.default_rng(0)
    return OpinionScale.learn(draw.beta(9, 1, 2000), -np.abs(draw.normal(size=2000)))


def test_a_threshold_on_the_smaller_score_shares_out_the_false_alarms() -> None:
    draw = np.random.default_rng(1)
    shares, profile = draw.beta(9, 1, 20_000), -np.abs(draw.normal(size=20_000))
    opinion = scale().value(shares)
    offset = np.quantile(np.minimum(opinion, profile), 0.2)
    flagged = np.array([(opinion < offset).mean(), (profile < offset).mean()])
    np.testing.assert_allclose(flagged[0] / flagged.sum(), PART, atol=0.05)


def test_a_larger_share_is_never_worth_less_and_all_draws_are_worth_the_most() -> None:
    grid = np.arange(33) / 32
    values = scale().value(grid)
    assert (np.diff(values) >= 0).all()
    assert values[-1] == 0
    np.testing.assert_allclose(scale().value(torch.from_numpy(grid)), values)
    np.testing.assert_allclose(values, np.interp(grid, scale().shares, scale().values), atol=1e-12)


def test_the_scale_of_unanimous_images_tells_less_from_all() -> None:
    found = OpinionScale.learn(np.ones(50), -np.linspace(0, 3, 50))
    assert found.value(np.array([0.0, 0.5, 1.0])).tolist() == [-3.0, -1.5, 0.0]
