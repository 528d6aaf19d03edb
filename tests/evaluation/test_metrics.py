"""What is said of a detector, against plain counting."""

from __future__ import annotations

import numpy as np
import pytest

from simdnn.evaluation.metrics import METRICS, Answer, caught_at, measure, precision_area

YES, NO = True, False


def answer(right: list[bool], flagged: list[bool], scores: list[float] | None = None) -> Answer:
    return Answer(np.array(right), np.array(flagged), None, None if scores is None else np.array(scores))


def test_attacked_images_count_as_detected_if_flagged_or_still_right() -> None:
    asked = answer([YES, YES, NO, NO], [YES, NO, YES, NO], [0.1, 0.9, 0.2, 0.8])
    accurate, fooled = np.array([YES, YES, NO, NO]), np.array([NO, NO, YES, YES])
    clean = answer([YES] * 4, [NO] * 4, [0.7, 0.8, 0.9, 1.0])
    found = measure("attack", asked, accurate, fooled, clean, ["a", "a", "a", "b"], seed=0)
    assert found["eq_14"]["value"] == 0.75
    assert found["accuracy"] == found["accuracy"] | {"value": 0.5, "n": 4}
    assert found["flagged"] == found["flagged"] | {"value": 0.5, "n": 2}
    assert found["per_class"] == {"a": [1, 1], "b": [0, 1]}
    # of four clean images, four score above 0.2, and two, with one tie, above 0.8
    assert found["auroc"]["value"] == pytest.approx((4 + 2.5) / 8)
    assert found["auroc_all"]["n"] == 4


def test_clean_images_are_right_if_labelled_so_and_not_flagged() -> None:
    asked = answer([YES, YES, NO, NO], [YES, NO, YES, NO], [0.1, 0.9, 0.2, 0.8])
    found = measure("clean", asked, asked.right, np.zeros(4, dtype=bool), asked, list("abcd"), seed=0)
    assert found["eq_14"]["value"] == 0.25
    assert found["flagged"]["value"] == 0.5
    assert "auroc" not in found


def test_an_attack_that_turned_nothing_has_no_curves() -> None:
    asked = answer([YES] * 3, [NO] * 3, [0.5, 0.6, 0.7])
    found = measure("attack", asked, asked.right, np.zeros(3, dtype=bool), asked, list("abc"), seed=0)
    assert set(found) == {"accuracy", "eq_14", "auroc_all", "per_class"}


def test_a_method_without_scores_has_rates_only() -> None:
    asked = answer([YES, NO], [NO, NO])
    found = measure("attack", asked, asked.right, ~asked.right, asked, ["a", "b"], seed=0)
    assert set(found) == {"accuracy", "eq_14"}


def test_every_metric_is_explained() -> None:
    rng = np.random.default_rng(0)
    asked = Answer(rng.random(30) < 0.5, rng.random(30) < 0.5, rng.random(30) < 0.1, rng.random(30))
    fooled = rng.random(30) < 0.7
    found = measure("attack", asked, asked.right, fooled, asked, ["a"] * 30, seed=0)
    assert set(found) - {"per_class"} == set(METRICS)
    assert all(f["low"] <= f["value"] <= f["high"] for name, f in found.items() if name != "per_class")


def test_the_share_caught_is_that_below_the_clean_images_own_quantile() -> None:
    rng = np.random.default_rng(1)
    clean, attacked = rng.normal(size=250), rng.normal(-1, 1, 180)
    for rate in (0.01, 0.05):
        found = caught_at(rate, clean, attacked)
        threshold = max(t for t in clean if (clean < t).mean() <= rate)
        assert found.value == (attacked < threshold).mean()
        assert found.low < found.value < found.high


def test_the_precision_area_of_a_perfect_detector_is_one_and_of_a_coin_the_share_of_attacks() -> None:
    assert precision_area([1, 2, 3], [-1, 0]).value == 1.0
    assert precision_area([1.0] * 30, [1.0] * 10).value == 0.25
