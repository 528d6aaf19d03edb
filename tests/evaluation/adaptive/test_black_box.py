"""Black-box attacks, against distances worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.attacks.adaptive.plane import Plane, at
from tests.evaluation.adaptive.examples import CLEAN, IMAGES
from torch import Tensor, nn

from simdnn.attacks import FGSM, run_attack
from simdnn.attacks.apgd import APGD
from simdnn.attacks.hopskipjump import HopSkipJump
from simdnn.evaluation.adaptive.black_box import (
    decision_cost,
    random_search,
    transfer_attack,
)
from simdnn.evaluation.adaptive.rejection import DecisionModel, LogitModel


def test_a_logit_model_raises_the_true_class_of_a_flagged_image() -> None:
    images = torch.cat([at(0.7, 0.9), at(0.7, 0.1), at(0.3, 0.9)])
    logits = LogitModel(Plane(), 0.0, label=0)(images)
    assert logits.argmax(dim=1).tolist() == [1, 0, 0]
    assert logits[1].tolist() == pytest.approx([1.4, 1.0])  # the largest, and 0.4 below the threshold


def test_apgd_brings_an_image_past_network_and_detector() -> None:
    for eps, predicted in ((0.5, 1), (0.25, 0)):
        model = LogitModel(Plane(), 0.0, label=0)
        attacked = run_attack(APGD(eps, steps=50), model, at(0.3, 0.2), torch.tensor([0]))
        assert DecisionModel(Plane(), 0.0, label=0)(attacked.images).argmax(dim=1).tolist() == [predicted]


def test_a_decision_model_gives_a_flagged_image_its_true_class() -> None:
    images = torch.cat([at(0.7, 0.9), at(0.7, 0.1), at(0.3, 0.9)])
    assert DecisionModel(Plane(), 0.0, label=0)(images).tolist() == [[0, 1], [1, 0], [1, 0]]


def test_a_decision_attack_pays_for_the_detector() -> None:
    found = decision_cost(Plane(), Plane(), CLEAN, 0.0, HopSkipJump(steps=20, queries=100))
    assert (found["n"], found["found_network"], found["found_network_and_detector"]) == (2, 2, 2)
    assert 0.1 <= found["network"] < 0.11  # of two images, the median is the nearer
    assert np.hypot(0.1, 0.05) <= found["network_and_detector"] < 0.13


@pytest.mark.parametrize(("eps", "misclassified"), [(0.05, 1 / 2), (0.5, 1.0)])
def test_transfer_from_a_network_without_the_detector(eps: float, misclassified: float) -> None:
    class Other(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return Plane()(images).logits

    found = transfer_attack(Plane(), CLEAN, Other().eval(), FGSM(eps), {"5 %": 0.0})
    assert found["misclassified"] == found["misclassified_by_source"] == misclassified
    # all are flagged but one, which was misclassified from the start
    assert found["robust_accuracy"]["5 %"]["value"] == 3 / 4


def test_random_search_reaches_what_is_within_its_radius() -> None:
    evaded = {
        eps: random_search(Plane(), IMAGES[:2], torch.zeros(2, dtype=torch.long), 0.0, eps, queries=40)
        for eps in (0.05, 0.15, 0.5)
    }
    assert evaded == {0.05: 0.0, 0.15: 0.5, 0.5: 1.0}
