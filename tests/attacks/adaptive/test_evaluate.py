"""What is reported of attackers who know: against answers worked out by hand, and on digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from tests.attacks.adaptive.conftest import backbone
from tests.attacks.adaptive.plane import Plane, at
from torch import Tensor, nn

from simdnn.attacks import FGSM
from simdnn.attacks.adaptive import ATTACKS, Answered, Goal, GuardedNetwork, PeerNetwork
from simdnn.attacks.adaptive.attacks import LabelOnly
from simdnn.attacks.adaptive.minimum_norm import smallest_change
from simdnn.attacks.hopskipjump import HopSkipJump
from simdnn.evaluation.adaptive.baselines import SCORES
from simdnn.evaluation.adaptive.black_box import decision_cost, random_search, transferred
from simdnn.evaluation.adaptive.evaluate import cost, robust_accuracy, symptoms
from simdnn.evaluation.adaptive.images import Examined
from simdnn.evaluation.baselines.detector import find_detector
from simdnn.evaluation.baselines.inputs import baseline_input
from simdnn.guard.guard import Guard

IMAGES = torch.cat([at(0.3, 0.2), at(0.5, 0.45), at(0.7, 0.9), at(0.7, 0.1)])
"""Away from what is sought by 0.3, by 0.1, not at all (answered wrongly, unflagged), and by 0.4."""
PLANE = Examined(IMAGES, torch.zeros(4, dtype=torch.long), at(0.9, 0.9), torch.tensor([1]))


@pytest.mark.parametrize(("eps", "kept"), [(0.05, 3), (0.15, 2), (0.35, 1), (0.5, 0)])
def test_robust_accuracy_counts_what_does_not_come_through(eps: float, kept: int) -> None:
    found = robust_accuracy(Plane(), PLANE, {"5 %": 0.0}, eps=eps, steps=60, attacks=["selective", "joint-1"])
    assert found["history"][0]["5 %"]["value"] == 3 / 4  # one does so without an attack
    assert found["robust_accuracy"]["5 %"]["value"] == kept / 4
    assert set(found["curves"]) == ({"selective", "joint-1"} if kept else {"selective"})


def test_a_looser_threshold_is_passed_more_often() -> None:
    found = robust_accuracy(
        Plane(), PLANE, {"5 %": 0.0, "1 %": -0.2}, eps=0.32, steps=60, attacks=["selective"]
    )
    assert found["robust_accuracy"]["5 %"]["value"] == 1 / 4
    assert found["robust_accuracy"]["1 %"]["value"] == 0


def test_who_does_not_know_the_detector_gets_less_through() -> None:
    class Laxer(Plane):
        """Flags where y < 0.3."""

        def __call__(self, images: Tensor, answer: Tensor | None = None) -> Answered:
            answered = super().__call__(images, answer)
            return answered._replace(score=answered.score + 0.2)

    def kept(aim: float | None = None, stand_in: Plane | None = None) -> float:
        found = robust_accuracy(
            Plane(), PLANE, {"5 %": 0.0}, eps=0.5, steps=60, attacks=["joint-1"], stand_in=stand_in, aim=aim
        )
        return float(found["robust_accuracy"]["5 %"]["value"])

    assert kept() == 0
    assert kept(stand_in=Laxer()) >= 1 / 4  # stops where the stand-in lets it through
    assert kept(stand_in=Laxer(), aim=0.25) == 0  # goes further, to be sure


@pytest.mark.parametrize(
    ("unflagged", "expected"), [(False, [0.3, 0.1]), (True, [np.hypot(0.3, 0.3), np.hypot(0.1, 0.05)])]
)
def test_smallest_change(unflagged: bool, expected: list[float]) -> None:
    goal = Goal(torch.tensor([1, 1]), 0.0)
    attack = ATTACKS["selective"] if unflagged else LabelOnly()
    found = smallest_change(Plane(), attack, IMAGES[:2], goal, steps=300, unflagged=unflagged)
    np.testing.assert_allclose(found.norm, expected, rtol=0.08)
    assert (found.norm.numpy() >= np.array(expected) - 1e-6).all()
    np.testing.assert_allclose((found.images - IMAGES[:2]).flatten(1).norm(dim=1), found.norm, rtol=1e-5)


def test_cost_is_the_ratio_of_medians_over_images_that_are_right() -> None:
    found = cost(Plane(), Plane(), PLANE, 0.0, steps=300)
    assert found["n"] == len(found["norms_network_and_detector"]) == 2
    assert found["norms_network"][1] == pytest.approx(0.3, rel=0.08)
    assert found["ratio"] == pytest.approx(found["network_and_detector"] / found["network"], rel=1e-3)
    assert found["network"] == pytest.approx(0.1, rel=0.08)
    assert all(
        a <= b for a, b in zip(found["norms_network"], found["norms_network_and_detector"], strict=True)
    )


def test_a_sound_evaluation_shows_no_symptom_and_a_broken_one_does() -> None:
    class Masked(Plane):
        def __call__(self, images: Tensor, answer: Tensor | None = None) -> Answered:
            """Its answers come in steps, so that their slope is 0."""
            return super().__call__((images * 20).round() / 20 + 0 * images)

    sound = symptoms(Plane(), PLANE, 0.0, 0.15, steps=40)
    assert {name: sign["fine"] for name, sign in sound.items()} == dict.fromkeys(sound, True)
    broken = symptoms(Masked(), PLANE, 0.0, 0.15, steps=40)
    assert not broken["slopes that vanish"]["fine"]
    assert not broken["unbounded"]["fine"]


def test_a_decision_attack_pays_for_the_detector() -> None:
    found = decision_cost(Plane(), Plane(), PLANE, 0.0, HopSkipJump(steps=20, queries=100))
    assert (found["n"], found["found_network"], found["found_network_and_detector"]) == (2, 2, 2)
    assert 0.1 <= found["network"] < 0.11  # of two images, the median is the nearer
    assert np.hypot(0.1, 0.05) <= found["network_and_detector"] < 0.13


@pytest.mark.parametrize(("eps", "fooled"), [(0.05, 1 / 2), (0.5, 1.0)])
def test_transfer_from_a_network_without_the_detector(eps: float, fooled: float) -> None:
    class Other(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return Plane()(images).logits

    found = transferred(Plane(), PLANE, Other().eval(), FGSM(eps), {"5 %": 0.0})
    assert found["fooled_network"] == found["fooled_source"] == fooled
    # all are flagged but one, which was wrong from the start
    assert found["robust_accuracy"]["5 %"]["value"] == 3 / 4


def test_search_without_slopes() -> None:
    through = {
        eps: random_search(Plane(), IMAGES[:2], torch.zeros(2, dtype=torch.long), 0.0, eps, queries=40)
        for eps in (0.05, 0.15, 0.5)
    }
    assert through == {0.05: 0.0, 0.15: 0.5, 0.5: 1.0}


@pytest.mark.parametrize("name", SCORES)
def test_scores_with_a_slope_order_images_as_the_peers_do(
    place: Path, digits: tuple[Tensor, Tensor], name: str
) -> None:
    network = backbone(place, 0)
    images, labels = digits
    clean = baseline_input(network, images)
    peer = find_detector(name)()
    peer.fit(network, clean, labels.numpy())
    module = PeerNetwork(network, SCORES[name](clean, labels.numpy()), 0.0)
    noisy = (images + 0.3 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    noisy.requires_grad_(True)
    answered = module(noisy)
    expected = peer.score(network, baseline_input(network, noisy.detach()))
    assert spearmanr(answered.score.detach(), expected).statistic > 0.9999
    (slope,) = torch.autograd.grad(answered.score.sum(), noisy)
    assert (slope.flatten(1).norm(dim=1) > 0).all()


def test_a_guard_is_broken_by_an_unbounded_attacker(guard: Guard, digits: tuple[Tensor, Tensor]) -> None:
    images, labels = digits[0][:20], digits[1][:20]
    examined = Examined(images, labels, images, labels)
    module = GuardedNetwork(guard)
    found = robust_accuracy(
        module, examined, {"5 %": module.threshold}, eps=1.0, steps=60, attacks=["selective"]
    )
    assert found["robust_accuracy"]["5 %"]["value"] == 0.0
