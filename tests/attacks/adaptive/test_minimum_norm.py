"""The minimum-norm attack, against norms worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.attacks.adaptive.plane import Plane, at

from simdnn.attacks.adaptive import Goal
from simdnn.attacks.adaptive.attacks import LabelOnly, Selective
from simdnn.attacks.adaptive.minimum_norm import minimum_norm_attack


@pytest.mark.parametrize(
    ("unflagged", "expected"), [(False, [0.3, 0.1]), (True, [np.hypot(0.3, 0.3), np.hypot(0.1, 0.05)])]
)
def test_it_finds_the_smallest_change(unflagged: bool, expected: list[float]) -> None:
    images = torch.cat([at(0.3, 0.2), at(0.5, 0.45)])
    goal = Goal(torch.tensor([1, 1]), 0.0)
    attack = Selective() if unflagged else LabelOnly()
    found = minimum_norm_attack(Plane(), attack, images, goal, steps=300, unflagged=unflagged)
    np.testing.assert_allclose(found.norm, expected, rtol=0.08)
    assert (found.norm.numpy() >= np.array(expected) - 1e-6).all()
    np.testing.assert_allclose((found.images - images).flatten(1).norm(dim=1), found.norm, rtol=1e-5)
