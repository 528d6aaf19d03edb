"""Robust accuracy with rejection, against values worked out by hand, and on digits."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.attacks.adaptive.plane import Plane
from tests.evaluation.adaptive.examples import CLEAN
from tests.guard.networks import digits_backbone
from torch import Tensor

from simdnn.attacks.adaptive import GuardedNetwork, GuardedOutput
from simdnn.digits import read_digits
from simdnn.evaluation.adaptive.evaluation_images import EvaluationImages
from simdnn.evaluation.adaptive.robust_accuracy import robust_accuracy
from simdnn.guard.guard import Guard
from simdnn.networks.extractor import Extractor


@pytest.mark.parametrize(("eps", "robust"), [(0.05, 3), (0.15, 2), (0.35, 1), (0.5, 0)])
def test_robust_accuracy_counts_images_that_do_not_evade(eps: float, robust: int) -> None:
    found = robust_accuracy(Plane(), CLEAN, {"5 %": 0.0}, eps=eps, steps=60, attacks=["selective", "joint-1"])
    assert found["history"][0]["5 %"]["value"] == 3 / 4  # one evades without an attack
    assert found["robust_accuracy"]["5 %"]["value"] == robust / 4
    assert set(found["curves"]) == ({"selective", "joint-1"} if robust else {"selective"})


def test_a_looser_threshold_is_evaded_more_often() -> None:
    found = robust_accuracy(
        Plane(), CLEAN, {"5 %": 0.0, "1 %": -0.2}, eps=0.32, steps=60, attacks=["selective"]
    )
    assert found["robust_accuracy"]["5 %"]["value"] == 1 / 4
    assert found["robust_accuracy"]["1 %"]["value"] == 0


def test_feature_matching_takes_the_guides_of_the_target() -> None:
    found = robust_accuracy(Plane(), CLEAN, {"5 %": 0.0}, eps=0.5, steps=60, attacks=["feature-matching"])
    assert found["robust_accuracy"]["5 %"]["value"] == 0


def test_each_rank_is_a_further_attack() -> None:
    found = robust_accuracy(Plane(), CLEAN, {"5 %": 0.0}, eps=0.05, steps=5, attacks=["joint-1"], ranks=2)
    assert [entry["attack"] for entry in found["history"]] == ["none", "joint-1, class 1", "joint-1, class 2"]


def test_each_start_is_a_further_attack() -> None:
    found = robust_accuracy(
        Plane(), CLEAN, {"5 %": 0.0}, eps=0.05, steps=5, attacks=["joint-1"], restarts=2, step_size=0.1
    )
    assert [entry["attack"] for entry in found["history"]] == ["none", "joint-1, start 1", "joint-1, start 2"]
    assert (found["restarts"], found["step_size"]) == (2, 0.1)


def test_an_attack_on_a_surrogate_is_weaker() -> None:
    class Laxer(Plane):
        """Flags where y < 0.3."""

        def __call__(self, images: Tensor, output: Tensor | None = None) -> GuardedOutput:
            found = super().__call__(images, output)
            return found._replace(parts=found.parts + 0.2)

    def robust(goal_score: float | None = None, surrogate: Plane | None = None) -> float:
        found = robust_accuracy(
            Plane(),
            CLEAN,
            {"5 %": 0.0},
            eps=0.5,
            steps=60,
            attacks=["joint-1"],
            surrogate=surrogate,
            goal_score=goal_score,
        )
        return float(found["robust_accuracy"]["5 %"]["value"])

    assert robust() == 0
    assert robust(surrogate=Laxer()) >= 1 / 4  # stops where the surrogate's detector is evaded
    assert robust(surrogate=Laxer(), goal_score=0.25) == 0  # goes further, to be sure


def test_a_guard_is_broken_by_an_unbounded_attack(digits: Path) -> None:
    guard = Guard.fit(digits / "train", Extractor([digits_backbone(digits)], device="cpu"), view_seed=3)
    _, images, labels = read_digits(digits / "test")
    images, labels = images[::12][:20], labels[::12][:20]
    module = GuardedNetwork(guard)
    found = robust_accuracy(
        module,
        EvaluationImages(images, labels, images, labels),
        {"5 %": module.threshold},
        eps=1.0,
        steps=60,
        attacks=["selective"],
    )
    assert found["robust_accuracy"]["5 %"]["value"] == 0.0
