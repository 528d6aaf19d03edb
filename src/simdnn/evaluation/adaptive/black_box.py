"""Attacks that know nothing of detectors on a guarded network: a library's, on decisions alone, and by transfer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from simdnn.attacks import Attack, run_attack
from simdnn.attacks.adaptive.goal import BATCH
from simdnn.attacks.adaptive.module import GuardedModel
from simdnn.attacks.hopskipjump import HopSkipJump
from simdnn.evaluation.adaptive.evaluation_images import EvaluationImages
from simdnn.evaluation.adaptive.rejection import DecisionModel, LogitModel
from simdnn.evaluation.adaptive.scoring import (
    finite_or_none,
    misclassified_scores,
    predict_and_score,
    robust_share,
)


def decision_cost(
    network: GuardedModel,
    guarded: GuardedModel,
    clean: EvaluationImages,
    threshold: float,
    attack: Attack | None = None,
) -> dict[str, Any]:
    """Compare the L2 norms of a decision-based attack's perturbations, without and with the detector.

    Over correctly classified images. ``network``, ``guarded``, ``clean`` and ``threshold`` are as for
    :func:`simdnn.evaluation.adaptive.minimum_norm_cost.minimum_norm_cost`; ``attack`` is HopSkipJump by default.

    Returns
    -------
    dict
        The medians ``network`` and ``network_and_detector`` (None if the attack fails on most images), the number of
        images ``n``, and the numbers of successes ``found_network`` and ``found_network_and_detector``.
    """
    attack = attack or HopSkipJump()
    predicted, _ = predict_and_score(guarded, clean.images)
    rows = torch.nonzero(predicted == clean.labels)[:, 0].tolist()
    result: dict[str, Any] = {"n": len(rows)}
    for name, model, offset in (
        ("network", network, -torch.inf),
        ("network_and_detector", guarded, threshold),
    ):
        norms = torch.full((len(rows),), torch.inf)
        for place, row in enumerate(rows):
            label = clean.labels[row : row + 1]
            decisions = DecisionModel(model, offset, int(label))
            attacked = run_attack(attack, decisions, clean.images[row : row + 1], label)
            if attacked.success:
                norms[place] = attacked.l2
        result[name] = finite_or_none(norms.median())
        result[f"found_{name}"] = int(norms.isfinite().sum())
    return result


def transfer_attack(
    guarded: GuardedModel,
    clean: EvaluationImages,
    source: nn.Module,
    attack: Attack,
    thresholds: Mapping[str, float],
) -> dict[str, Any]:
    """Attack another network with the same outputs, and evaluate the guarded network on the attacked images.

    Returns
    -------
    dict
        The attack's parameters, the shares of images that are ``misclassified_by_source`` and ``misclassified`` by the
        guarded network, and its ``robust_accuracy`` by threshold.
    """
    attacked = run_attack(attack, source, clean.images, clean.labels, batch_size=BATCH)
    predicted, score = predict_and_score(guarded, attacked.images)
    misclassified = predicted != clean.labels
    evaded = misclassified & (score >= next(iter(thresholds.values())))
    clean.check_certificate(attacked.images, evaded, torch.arange(len(predicted)))
    return {
        **attacked.parameters,
        "misclassified_by_source": float(attacked.success.double().mean()),
        "misclassified": float(misclassified.double().mean()),
        "robust_accuracy": robust_share(torch.where(misclassified, score, -torch.inf), thresholds),
    }


def library_attack(
    guarded: GuardedModel, clean: EvaluationImages, attack: Attack, thresholds: Mapping[str, float]
) -> dict[str, Any]:
    """Run an attack that knows nothing of detectors on network and detector as one classifier.

    Parameters
    ----------
    guarded : network and detector
    clean : the images to attack
    attack : untargeted, with gradients or on scores
    thresholds : thresholds by name; the attack is on the first

    Returns
    -------
    dict
        The attack's parameters, and the ``robust_accuracy`` by threshold.
    """
    threshold = next(iter(thresholds.values()))
    best = misclassified_scores(guarded, clean.images, clean.labels)
    for label in sorted(set(clean.labels.tolist())):
        (rows,) = torch.nonzero((clean.labels == label) & (best < threshold), as_tuple=True)
        if not len(rows):
            continue
        model = LogitModel(guarded, threshold, label)
        found = run_attack(attack, model, clean.images[rows], clean.labels[rows], batch_size=BATCH)
        scores = misclassified_scores(guarded, found.images, clean.labels[rows])
        clean.check_certificate(found.images, scores >= threshold, rows)
        best[rows] = torch.maximum(best[rows], scores)
    return {"attack": attack.name, **vars(attack), "robust_accuracy": robust_share(best, thresholds)}
