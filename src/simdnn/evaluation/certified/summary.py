"""From votes to certified rates: what a guard certifies at which rate of false alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simdnn.arrays import FloatArray, IntArray
from simdnn.errors import InputError
from simdnn.evaluation.intervals import rate
from simdnn.guard.guard import Guard
from simdnn.networks.reduction import reduction_norm
from simdnn.rules.rule import Rule
from simdnn.rules.second_opinion import SecondOpinion
from simdnn.rules.second_opinion_rule import SecondOpinionRule
from simdnn.smoothing.bounds import lower_bound
from simdnn.smoothing.radius import attack_radius
from simdnn.smoothing.rates import certified_rates

RADII = (0.25, 0.5, 1.0)
ALPHAS = (0.05, 0.1)
"""Those of the table; the curve has every per cent from 1 to 30."""

ERROR = MISS = 0.001
"""Probability, at most, that the radius of an image is too large, and that an attack within it passes by luck of the
rule's draws."""

Votes = Sequence[Mapping[str, Any]]
"""Records of :func:`simdnn.evaluation.certified.measure.measure_votes`."""


def certified_rules(guard: Guard) -> dict[str, Rule]:
    """Return the guard's rules that bear a certificate, by name: its own, and the second opinion alone."""
    rules = (guard.rule, guard.rule.part(SecondOpinionRule.name))
    return {rule.name: rule for rule in rules if rule is not None and rule.opinion is not None}


def certified_radii(guard: Guard, votes: Votes, alpha: float, rule: str | None = None) -> FloatArray:
    """Return the radius, (N,), within which no attack on an image passes the rule with a wrong class.

    Parameters
    ----------
    guard : with a second opinion
    votes : of N images
    alpha : false-alarm rate that the rule's threshold promises
    rule : one of :func:`certified_rules`; by default the guard's own
    """
    judging = guard.rule_named(rule)
    opinion, auxiliary = judging.opinion, guard.extractor.auxiliary
    if opinion is None or auxiliary is None or guard.auxiliary is None:
        raise InputError("expected a guard with a second opinion: simdnn fit ... --second-opinion FILE")
    labels = np.array([opinion.names.index(record["label"]) for record in votes], dtype=np.int64)
    size = guard.networks[0].spec.preprocess.size
    return radii_of_counts(
        _of_classes(votes, labels, opinion),
        labels,
        draws=guard.auxiliary.draws,
        needed=judging.votes_needed(guard.threshold(rule, alpha=alpha), guard.auxiliary.draws),
        sigma=auxiliary.spec.sigma,
        norm=reduction_norm(*size, auxiliary.spec.side),
    )


def radii_of_counts(
    counts: IntArray, labels: IntArray, *, draws: int, needed: int, sigma: float, norm: float
) -> FloatArray:
    """Return the radius, (N,), below which no attack on an image gets a wrong class the votes that it needs to pass.

    Parameters
    ----------
    counts, labels, sigma, norm : as for :func:`simdnn.smoothing.radius.attack_radius`
    draws, needed : of the rule, and how many of them must agree; more than ``draws`` counts as all
    """
    share = float(lower_bound(min(needed, draws), draws, MISS))
    return attack_radius(counts, labels, share, sigma=sigma, norm=norm, error=ERROR)


def summary(guard: Guard, votes: Votes) -> dict[str, Any]:
    """Return each rule's certified rates by false-alarm rate, with 95 % intervals, ready for JSON."""
    fewest = 1 / (int(guard.calibration.clean.sum()) + 1)
    alphas = sorted({*ALPHAS, *(percent / 100 for percent in range(1, 31))})
    return {
        "guard": guard.model_id,
        "auxiliary": None if guard.auxiliary is None else guard.auxiliary.identity,
        "rule_draws": None if guard.auxiliary is None else guard.auxiliary.draws,
        "certificate_draws": int(np.sum(votes[0]["counts"])),
        "images": len(votes),
        "error": ERROR,
        "miss": MISS,
        "right": rate(sum(record["given"] == record["label"] for record in votes), len(votes))._asdict(),
        "radii": list(RADII),
        "rules": {
            name: [_at(guard, votes, alpha, name) for alpha in alphas if alpha >= fewest]
            for name in certified_rules(guard)
        },
    }


def _at(guard: Guard, votes: Votes, alpha: float, rule: str) -> dict[str, Any]:
    offset = guard.threshold(rule, alpha=alpha)
    draws = guard.auxiliary.draws if guard.auxiliary else 0
    found = certified_rates(certified_radii(guard, votes, alpha, rule), RADII)
    flagged = sum(record["scores"][rule] < offset for record in votes)
    return {
        "alpha": alpha,
        "false_alarms": rate(flagged, len(votes))._asdict(),
        "votes_needed": guard.rule_named(rule).votes_needed(offset, draws),
        "certified": [
            {"value": value, "low": low, "high": high}
            for value, low, high in zip(
                found.rate.tolist(), found.low.tolist(), found.high.tolist(), strict=True
            )
        ],
    }


def _of_classes(votes: Votes, labels: IntArray, opinion: SecondOpinion) -> IntArray:
    """Return the counts of the guard's classes, (N, C); what went to others counts for the right class.

    The right class has no bound, so that it only keeps the number of draws; and no attack ends in a class that the
    guard does not know.
    """
    every = np.array([record["counts"] for record in votes], dtype=np.int64)
    counts: IntArray = every[:, list(opinion.columns)]
    counts[np.arange(len(labels)), labels] += every.sum(axis=1) - counts.sum(axis=1)
    return counts
