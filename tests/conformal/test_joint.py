"""Two calibrations at once: the promise of the clean one holds whatever the corrupted copies score."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from tests import naive

from simdnn.conformal.joint import JointThreshold
from simdnn.conformal.per_class import MondrianThreshold
from simdnn.conformal.split import ConformalThreshold
from simdnn.paper.m_sigma import RecursiveThreshold


@pytest.mark.parametrize("shift", [-2.0, 0.0, 2.0])
def test_a_score_is_flagged_where_both_p_values_are_at_most_alpha(shift: float) -> None:
    rng = np.random.default_rng(0)
    clean, copies, new = rng.normal(size=59), rng.normal(size=30) + shift, rng.normal(size=200) - 1
    mixture = np.concatenate([clean, copies])
    decision = JointThreshold(ConformalThreshold(clean, 0.05), ConformalThreshold(mixture, 0.05)).judge(new)
    own = np.array([naive.p_value(clean.tolist(), s) for s in new.tolist()])
    joint = np.array([naive.p_value(mixture.tolist(), s) for s in new.tolist()])
    assert decision.clean_p_values is not None
    assert decision.mixture_p_values is not None
    assert decision.p_values is not None
    assert_allclose(decision.clean_p_values, own, rtol=0, atol=1e-12)
    assert_allclose(decision.mixture_p_values, joint, rtol=0, atol=1e-12)
    assert_allclose(decision.p_values, np.maximum(own, joint), rtol=0, atol=1e-12)
    assert_array_equal(decision.attack, (own <= 0.05 + 1e-12) & (joint <= 0.05 + 1e-12))
    assert_array_equal(decision.attack, new < decision.offsets)
    assert 0 < decision.attack.sum() < 200


def test_each_class_by_both() -> None:
    scores, labels = np.arange(40.0), np.array(["a", "b"] * 20)
    clean = MondrianThreshold(scores, labels, ["a", "b"], 0.1)
    mixture = MondrianThreshold(np.r_[scores, scores + 50], np.r_[labels, labels], ["a", "b"], 0.1)
    joint = JointThreshold(clean, mixture)
    new = np.array([0.0, 2.5, 4.5])
    for label in ("a", "b"):
        flags = joint.judge(new, np.array([label] * 3)).attack
        assert_array_equal(flags, new < min(clean.by_class[label].offset, mixture.by_class[label].offset))


def test_a_threshold_without_p_values_cannot_take_part() -> None:
    conformal = ConformalThreshold(np.arange(19.0), 0.05)
    with pytest.raises(TypeError, match="expected two thresholds that have p-values"):
        JointThreshold(conformal, RecursiveThreshold.of(np.arange(19.0))).judge(np.zeros(1))
