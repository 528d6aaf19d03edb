"""A rule whose scores change must raise its version: the benchmark's records of earlier versions are stale.

`golden_scores.json` has the version and some scores of every rule. Run this file as a script to write it anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simdnn.paper.model import SimilarityModel
from simdnn.rules.calibration import CalibrationSet
from simdnn.rules.inputs import RuleInput
from simdnn.rules.registry import RULES
from simdnn.rules.rule import LearnedImages
from simdnn.rules.view_statistics import compare_views

GOLDEN = Path(__file__).with_name("golden_scores.json")
CLASSES = ("cat", "dog", "owl")
VIEWS, DRAWS, FEATURES = 2, 32, 12


def golden() -> dict[str, dict[str, Any]]:
    """The version of every rule, and its scores of the same twelve images."""
    draw = np.random.default_rng(7)

    def seen(
        n: int, model: SimilarityModel | None = None
    ) -> tuple[RuleInput, CalibrationSet, np.ndarray[Any, Any]]:
        truth = np.arange(n) % len(CLASSES)
        centre = np.repeat(np.eye(len(CLASSES)), FEATURES // len(CLASSES), axis=1)[truth]
        features = (centre + draw.gamma(2, 0.2, size=(n, 1 + VIEWS, FEATURES)).transpose(1, 0, 2)).transpose(
            1, 0, 2
        )
        logits = features.reshape(n, 1 + VIEWS, len(CLASSES), -1).sum(axis=3)
        votes = np.array(
            [draw.multinomial(DRAWS, np.where(np.arange(3) == label, 0.8, 0.1)) for label in truth]
        )
        own, given = features[:, 0].astype(np.float32), logits[:, 0].astype(np.float32)
        views = compare_views(own, features[:, 1:], given, logits[:, 1:], given.argmax(axis=1))
        labels = np.array(CLASSES)[truth]
        calibration = CalibrationSet(own, given, votes, views, ("",) * n, ("",) * n)
        learned = model or SimilarityModel.learn(own, labels)
        return calibration.inputs(learned), calibration, labels

    reference, _, labels = seen(120)
    model = SimilarityModel.learn(reference.features, labels)
    _, calibration, _ = seen(90, model)
    images, _, _ = seen(12, model)
    found = {}
    for name, kind in RULES.items():
        rule = kind(model, calibration, kind.draw_views("standard", 0)[:VIEWS])
        rule.learn(LearnedImages(labels, reference.logits, CLASSES, reference))
        scores = [float(f"{score:.6g}") for score in np.asarray(rule.score(images))]
        found[name] = {"version": kind.version, "scores": scores}
    return found


@pytest.mark.parametrize("name", list(RULES))
def test_scores_change_only_with_the_version(name: str) -> None:
    kept, now = json.loads(GOLDEN.read_text(encoding="utf-8"))[name], golden()[name]
    assert len(set(now["scores"])) > 3
    told = f"run {Path(__file__).name} as a script to write the golden scores anew"
    assert now["version"] == kept["version"], f"the version of {name!r} is another one; {told}"
    same = np.allclose(now["scores"], kept["scores"], rtol=1e-4, atol=1e-6)
    assert same, f"the scores of {name!r} have changed; raise its version, and {told}"


def test_every_rule_has_golden_scores_and_no_other_has() -> None:
    assert set(json.loads(GOLDEN.read_text(encoding="utf-8"))) == set(RULES)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(golden(), indent=2) + "\n", encoding="utf-8")
