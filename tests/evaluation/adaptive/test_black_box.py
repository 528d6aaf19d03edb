"""Black-box attacks, against distances worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.attacks.adaptive.plane import Plane, at
from tests.evaluation.adaptive.examples import CLEAN
from torch import Tensor, nn

from simdnn.attacks import FGSM, run_attack
from simdnn.attacks.apgd import APGD
from simdnn.attacks.hopskipjump import HopSkipJump
from simdnn.evaluation.adaptive.black_box import (
    decision_cost,
    library_attack,
    transfer_attack,
)
from simdnn.evaluation.adaptive.evaluation_images import EvaluationImages
from simdnn.evaluation.adaptive.minimum_norm_cost import minimum_norm_cost
from simdnn.evaluation.adaptive.rejection import DecisionModel, LogitModel
from simdnn.evaluation.adaptive.robust_accuracy import robust_accuracy


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


@pytest.mark.parametrize(("eps", "robust"), [(0.05, 3), (0.15, 2), (0.45, 0)])
def test_a_librarys_attack_evades_network_and_detector(eps: float, robust: int) -> None:
    found = library_attack(Plane(), CLEAN, APGD(eps, 100), {"5 %": 0.0, "1 %": -0.3})
    assert found["robust_accuracy"]["5 %"]["value"] == robust / 4
    assert found["robust_accuracy"]["1 %"]["value"] <= robust / 4
    assert found["eps"] == eps


def test_an_attack_within_a_certified_radius_stops_the_evaluation() -> None:
    """The second image is evaded at a distance of 0.11 and more: a radius of less stands, one of 0.5 is refuted."""
    wanted = "attacks evade the detector within certified radii: image 1 at 0.[12].., certified up to 0.500"
    sound = replace(CLEAN, radii=torch.tensor([0.3, 0.1, 0.0, 0.35]))
    false = replace(CLEAN, radii=torch.tensor([0.3, 0.5, 0.0, 0.35]))
    thresholds = {"5 %": 0.0}

    def by_library(clean: EvaluationImages) -> object:
        return library_attack(Plane(), clean, APGD(0.15, 50), thresholds)

    def by_pgd(clean: EvaluationImages) -> object:
        return robust_accuracy(Plane(), clean, thresholds, eps=0.15, attacks=["balanced"])

    def by_norm(clean: EvaluationImages) -> object:
        return minimum_norm_cost(Plane(), Plane(), clean, 0.0)

    for evaluate in (by_library, by_pgd, by_norm):
        evaluate(sound)
        with pytest.raises(AssertionError, match=wanted):
            evaluate(false)
    assert minimum_norm_cost(Plane(), Plane(), sound, 0.0)["certified_radii"] == [0.1, 0.3]
