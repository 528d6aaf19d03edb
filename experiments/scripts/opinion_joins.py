"""Ways to join the profile's score and the second opinion's share, compared by `second_opinion.py`.

Each is learned from one half of a guard's calibration images, and its threshold calibrated on the other half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import norm

from simdnn.arrays import FloatArray, IntArray
from simdnn.conformal.joint import JointThreshold
from simdnn.conformal.split import ConformalThreshold
from simdnn.conformal.threshold import Threshold
from simdnn.guard.guard import Guard
from simdnn.rules.inputs import RuleInput
from simdnn.rules.opinion_scale import OpinionScale

Score = Callable[[FloatArray, FloatArray, IntArray], FloatArray]
"""From the profile's scores, shares and groups, (N,) each, to scores (N,)."""
Groups = Callable[[RuleInput], IntArray]

BANDS = 3
"""Bands of the network's own confidence, of equally many clean images."""


class Evidence(NamedTuple):
    """The profile's scores, at most 0, and the shares that agree, (N,) each."""

    profile: FloatArray
    share: FloatArray


class Joined(NamedTuple):
    """Scores by column; thresholds by alpha; the smallest share that passes, whatever else, by alpha."""

    scores: dict[str, FloatArray]
    thresholds: dict[float, Threshold]
    share_needed: dict[str, float]


def smaller(part: float) -> Callable[[Evidence, IntArray], Score]:
    """Take the smaller of both, the opinion having ``part`` of the false alarms; by group, a scale for each."""

    def learn(clean: Evidence, groups: IntArray) -> Score:
        scales = {
            group: OpinionScale.learn(clean.share[groups == group], clean.profile, part)
            for group in np.unique(groups).tolist()
        }

        def score(profile: FloatArray, share: FloatArray, given: IntArray) -> FloatArray:
            worth = np.full(len(share), np.inf)
            for group, scale in scales.items():
                worth[given == group] = scale.value(share[given == group])
            return np.asarray(np.minimum(profile, worth))

        return score

    return learn


def sixth_source(weight: float) -> Callable[[Evidence, IntArray], Score]:
    """Add the squared deviation of the share's normal quantile, in standard deviations of clean images."""

    def quantile(share: FloatArray) -> FloatArray:
        return np.asarray(norm.ppf(np.clip(share, 0.01, 0.99)), dtype=np.float64)

    def learn(clean: Evidence, _: IntArray) -> Score:
        middle, spread = quantile(clean.share).mean(), quantile(clean.share).std()

        def score(profile: FloatArray, share: FloatArray, _: IntArray) -> FloatArray:
            deviation = np.maximum((middle - quantile(share)) / spread, 0)
            return np.asarray(-np.sqrt(profile**2 + weight * deviation**2))

        return score

    return learn


def joined_scores(
    guard: Guard, columns: Mapping[str, RuleInput], alphas: tuple[float, ...]
) -> dict[str, Joined]:
    """Score all columns in all ways."""
    opinion, profile = guard.rule.opinion, guard.rule_named("profile")
    assert opinion is not None
    calibration = guard.calibration.inputs(guard.model)
    clean = guard.calibration.clean
    first = np.arange(len(clean)) % 2 == 0

    def evidence(seen: RuleInput) -> Evidence:
        return Evidence(np.asarray(profile.score(seen)), np.asarray(opinion.of(seen)))

    def log_odds(seen: RuleInput) -> FloatArray:
        logits = np.asarray(seen.logits, dtype=np.float64)
        ordered = np.sort(logits, axis=1)
        return np.asarray(ordered[:, -1] - logsumexp(ordered[:, :-1], axis=1), dtype=np.float64)

    bounds = np.quantile(log_odds(calibration)[clean & first], np.arange(1, BANDS) / BANDS)

    def no_groups(seen: RuleInput) -> IntArray:
        return np.zeros(len(seen.predictions), dtype=np.int64)

    def bands(seen: RuleInput) -> IntArray:
        return np.digitize(log_odds(seen), bounds)

    def classes(seen: RuleInput) -> IntArray:
        return np.asarray(opinion.classes(seen.logits, seen.predictions))

    ways: dict[str, tuple[Callable[[Evidence, IntArray], Score], Groups]] = {
        "smaller of both, 0.9 of the alarms the opinion's": (smaller(0.9), no_groups),
        "smaller of both, 0.5 of the alarms the opinion's": (smaller(0.5), no_groups),
        "smaller of both, per answered class": (smaller(0.9), classes),
        "smaller of both, per band of confidence": (smaller(0.9), bands),
        "sixth source, weight 1": (sixth_source(1.0), no_groups),
        "sixth source, weight 4": (sixth_source(4.0), no_groups),
    }
    own = evidence(calibration)
    found = {}
    for name, (learn, grouped) in ways.items():
        groups = grouped(calibration)
        learned = clean & first
        score = learn(Evidence(own.profile[learned], own.share[learned]), groups[learned])
        calibrating = score(own.profile, own.share, groups)[~first]
        thresholds: dict[float, Threshold] = {
            alpha: JointThreshold(
                ConformalThreshold(calibrating[clean[~first]], alpha), ConformalThreshold(calibrating, alpha)
            )
            for alpha in alphas
        }
        found[name] = Joined(
            {column: score(*evidence(seen), grouped(seen)) for column, seen in columns.items()},
            thresholds,
            {str(alpha): _needed(score, one.offset, np.unique(groups)) for alpha, one in thresholds.items()},
        )
    return found


def _needed(score: Score, offset: float, groups: NDArray[Any]) -> float:
    """Return the smallest share that passes for an image with a perfect profile, in the group most lenient to it."""
    shares = np.linspace(0, 1, 1001)
    passing = [
        score(np.zeros_like(shares), shares, np.full(len(shares), group)) >= offset
        for group in groups.tolist()
    ]
    return float(shares[np.any(passing, axis=0)].min(initial=1.0))
