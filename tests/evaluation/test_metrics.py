"""Metrics against plain counting."""

from __future__ import annotations

import numpy as np
import pytest

from simdnn.evaluation.metrics import METRICS, MethodOutput, aupr, measure, tpr_at_fpr

YES, NO = True, False


def output(label_correct: list[bool], flagged: list[bool], scores: list[float] | None = None) -> MethodOutput:
    return MethodOutput(
        np.array(label_correct), np.array(flagged), None, None if scores is None else np.array(scores)
    )


def test_attacked_images_count_as_detected_if_flagged_or_still_right() -> None:
    given = output([YES, YES, NO, NO], [YES, NO, YES, NO], [0.1, 0.9, 0.2, 0.8])
    accurate, fooled = np.array([YES, YES, NO, NO]), np.array([NO, NO, YES, YES])
    clean = output([YES] * 4, [NO] * 4, [0.7, 0.8, 0.9, 1.0])
    found = measure("attack", given, accurate, fooled, clean, ["a", "a", "a", "b"], seed=0)
    assert found["eq_14"]["value"] == 0.75
    assert found["accuracy"] == found["accuracy"] | {"value": 0.5, "n": 4}
    assert found["flagged"] == found["flagged"] | {"value": 0.5, "n": 2}
    assert found["per_class"] == {"a": [1, 1], "b": [0, 1]}
    # of four clean images, four score above 0.2, and two, with one tie, above 0.8
    assert found["auroc"]["value"] == pytest.approx((4 + 2.5) / 8)
    assert found["auroc_all"]["n"] == 4


def test_clean_images_are_right_if_labelled_so_and_not_flagged() -> None:
    given = output([YES, YES, NO, NO], [YES, NO, YES, NO], [0.1, 0.9, 0.2, 0.8])
    found = measure("clean", given, given.label_correct, np.zeros(4, dtype=bool), given, list("abcd"), seed=0)
    assert found["eq_14"]["value"] == 0.25
    assert found["flagged"]["value"] == 0.5
    assert "auroc" not in found


def test_an_attack_that_fooled_nothing_has_no_curves() -> None:
    given = output([YES] * 3, [NO] * 3, [0.5, 0.6, 0.7])
    found = measure("attack", given, given.label_correct, np.zeros(3, dtype=bool), given, list("abc"), seed=0)
    assert set(found) == {"accuracy", "eq_14", "auroc_all", "per_class"}


def test_a_method_without_scores_has_rates_only() -> None:
    given = output([YES, NO], [NO, NO])
    found = measure("attack", given, given.label_correct, ~given.label_correct, given, ["a", "b"], seed=0)
    assert set(found) == {"accuracy", "eq_14"}


def test_every_metric_is_explained() -> None:
    rng = np.random.default_rng(0)
    given = MethodOutput(rng.random(30) < 0.5, rng.random(30) < 0.5, rng.random(30) < 0.1, rng.random(30))
    fooled = rng.random(30) < 0.7
    found = measure("attack", given, given.label_correct, fooled, given, ["a"] * 30, seed=0)
    assert set(found) - {"per_class"} == set(METRICS)
    assert all(f["low"] <= f["value"] <= f["high"] for name, f in found.items() if name != "per_class")


def test_tpr_is_the_share_below_the_quantile_of_the_clean_scores() -> None:
    rng = np.random.default_rng(1)
    clean, attacked = rng.normal(size=250), rng.normal(-1, 1, 180)
    for rate in (0.01, 0.05):
        found = tpr_at_fpr(rate, clean, attacked)
        threshold = max(t for t in clean if (clean < t).mean() <= rate)
        assert found.value == (attacked < threshold).mean()
        assert found.low < found.value < found.high


def test_aupr_of_a_perfect_detector_is_one_and_at_chance_the_share_of_attacks() -> None:
    assert aupr([1, 2, 3], [-1, 0]).value == 1.0
    assert aupr([1.0] * 30, [1.0] * 10).value == 0.25
