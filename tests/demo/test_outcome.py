"""Rows of the table from verdicts whose truth is known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from simdnn.demo.outcome import ImageGroup, false_alarm_bound, summarise
from simdnn.guard.verdict import Kind, Verdict


def judged(verdict: Kind, label: str, network: str, score: float) -> Verdict:
    return Verdict("x.png", verdict, label=label, classifier_label=network, score=score)


CLEAN = ImageGroup(
    "clean",
    {},
    attacked=False,
    truth=["1", "1", "2", "2"],
    verdicts=[
        judged("clean", "1", "1", 0.9),
        judged("clean", "2", "1", 0.8),  # labelled wrongly
        judged("attack", "2", "2", 0.2),  # false alarm
        judged("clean", "2", "1", 0.7),  # the network itself is wrong
    ],
)
ATTACKED = ImageGroup(
    "fgsm",
    {"attack": "fgsm", "eps": 0.1, "seed": 0},
    attacked=True,
    truth=["1", "1", "2", "2"],
    verdicts=[
        judged("attack", "2", "2", 0.1),  # flagged
        judged("clean", "1", "2", 0.6),  # not flagged, yet labelled correctly
        judged("clean", "1", "1", 0.75),  # missed
        judged("attack", "2", "1", 0.15),  # both
    ],
)


def test_clean_images_are_judged_rightly_if_labelled_correctly_and_not_flagged() -> None:
    assert CLEAN.judged_rightly == [True, False, False, True]


def test_attacked_images_are_judged_rightly_if_flagged_or_labelled_correctly() -> None:
    assert ATTACKED.judged_rightly == [True, True, False, True]


def test_row_of_clean_images() -> None:
    row = summarise(CLEAN, CLEAN)
    assert (row.n, row.detected.value, row.flagged.value, row.fooled.value) == (4, 0.5, 0.25, 0.25)
    assert row.auroc is None


def test_row_of_attacked_images() -> None:
    row = summarise(ATTACKED, CLEAN)
    assert (row.n, row.detected.value, row.flagged.value, row.fooled.value) == (4, 0.75, 0.5, 1.0)
    assert row.auroc is not None
    # Of the 16 pairs, the clean image scores lower in (0.2, 0.6), (0.2, 0.75) and (0.7, 0.75).
    assert row.auroc.value == pytest.approx(13 / 16)
    assert row.flagged.low < 0.5 < row.flagged.high


def test_row_goes_into_json() -> None:
    row = json.loads(json.dumps(summarise(ATTACKED, CLEAN).as_dict()))
    assert row["parameters"] == {"attack": "fgsm", "eps": 0.1, "seed": 0}
    assert row["flagged"]["value"] == 0.5
    assert set(row) == {"name", "parameters", "attacked", "n", "fooled", "detected", "flagged", "auroc"}


def test_the_bound_is_the_quantile_of_simulated_guards() -> None:
    # Scores are uniform; p <= 0.05 with 99 calibration images: among the five smallest
    rng = np.random.default_rng(3)
    thresholds = np.sort(rng.random((4000, 99)), axis=1)[:, 4]
    rates = (rng.random((4000, 200)) <= thresholds[:, None]).mean(axis=1)
    assert np.quantile(rates, 0.975) == pytest.approx(false_alarm_bound(0.05, 99, 200), abs=0.01)
    assert rates.mean() == pytest.approx(0.05, abs=0.002)


def test_a_guard_with_a_further_condition_stays_within_the_bound() -> None:
    """It flags where the p-values among clean images, and among clean and corrupted ones, are both at most alpha."""
    rng = np.random.default_rng(4)
    clean = rng.normal(size=(4000, 99))
    both = np.concatenate([clean, rng.normal(-0.5, 1.5, size=(4000, 50))], axis=1)
    own, mixed = np.sort(clean, axis=1)[:, 4], np.sort(both, axis=1)[:, 6]  # 7 of 150 are at most 0.05
    scores = rng.normal(size=(4000, 200))
    rates = ((scores <= own[:, None]) & (scores <= mixed[:, None])).mean(axis=1)
    assert (rates <= false_alarm_bound(0.05, 99, 200)).mean() >= 0.975
