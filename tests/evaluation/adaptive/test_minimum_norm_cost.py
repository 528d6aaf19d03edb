"""What a detector costs an attacker, against norms worked out by hand."""

from __future__ import annotations

import pytest
from tests.attacks.adaptive.plane import Plane
from tests.evaluation.adaptive.examples import CLEAN

from simdnn.evaluation.adaptive.minimum_norm_cost import minimum_norm_cost


def test_cost_is_the_ratio_of_medians_over_correctly_classified_images() -> None:
    found = minimum_norm_cost(Plane(), Plane(), CLEAN, 0.0, steps=300)
    assert found["n"] == len(found["norms_network_and_detector"]) == 2
    assert found["norms_network"][1] == pytest.approx(0.3, rel=0.08)
    assert found["ratio"] == pytest.approx(found["network_and_detector"] / found["network"], rel=1e-3)
    assert found["network"] == pytest.approx(0.1, rel=0.08)
    assert all(
        a <= b for a, b in zip(found["norms_network"], found["norms_network_and_detector"], strict=True)
    )
