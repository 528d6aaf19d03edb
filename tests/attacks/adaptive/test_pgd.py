"""Adaptive PGD as an attack like any other."""

from __future__ import annotations

import pytest
import torch
from tests.attacks.adaptive.plane import Plane, at
from torch import nn

from simdnn.attacks import run_attack
from simdnn.attacks.adaptive import Rejecting
from simdnn.attacks.adaptive.pgd import METHODS, AdaptivePGD, make_adaptive_attack
from simdnn.errors import InputError


@pytest.mark.parametrize("method", METHODS)
def test_it_runs_as_any_attack_on_a_rejecting_network(method: str) -> None:
    result = run_attack(AdaptivePGD(method, eps=0.6), Rejecting(Plane()), at(0.3, 0.2), torch.tensor([0]))
    x, y = result.images[0, 0, 0]
    assert result.success.tolist() == [True]
    assert x > 0.6
    assert y >= 0.5
    assert result.parameters == {
        "attack": "adaptive-pgd",
        "method": method,
        "eps": 0.6,
        "norm": "inf",
        "steps": 40,
        "seed": 0,
    }


def test_a_network_without_its_detector_is_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(6, 2)).eval()
    with pytest.raises(InputError, match="an adaptive attack needs a Rejecting network, got Sequential"):
        run_attack(AdaptivePGD("joint-1", eps=0.1), network, at(0.3, 0.2), torch.tensor([0]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "selective needs eps, the radius of its ball"),
        ({"eps": 0.1, "momentum": 1}, "selective has no parameter momentum; it has eps, norm, steps"),
        ({"eps": 0.1, "norm": 1}, "selective: expected the norm inf or 2"),
        ({"eps": 0.1, "steps": 0}, "whole steps above 0; got {'eps': 0.1, 'steps': 0}"),
    ],
)
def test_settings_that_make_no_attack_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_adaptive_attack("selective", **settings)
