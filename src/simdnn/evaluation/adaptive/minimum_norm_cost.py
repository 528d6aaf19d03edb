"""Norm of the smallest perturbation against the network alone, and against network and detector together."""

from __future__ import annotations

from typing import Any

import torch

from simdnn.attacks.adaptive.attacks import Balanced, LabelOnly
from simdnn.attacks.adaptive.goal import Goal, nearest_wrong_outputs
from simdnn.attacks.adaptive.minimum_norm import minimum_norm_attack
from simdnn.attacks.adaptive.module import GuardedModel
from simdnn.evaluation.adaptive.evaluation_images import EvaluationImages
from simdnn.evaluation.adaptive.robust_accuracy import Log
from simdnn.evaluation.adaptive.scoring import finite_or_none, predict_and_score, sorted_norms


def minimum_norm_cost(
    network: GuardedModel,
    guarded: GuardedModel,
    clean: EvaluationImages,
    threshold: float,
    *,
    steps: int = 80,
    log: Log = str,
) -> dict[str, Any]:
    """Compare the L2 norms of the smallest perturbations found, without and with the detector.

    Over correctly classified images, targeted at the nearest wrong class. A perturbation that evades both network and
    detector also counts for the network alone.

    Parameters
    ----------
    network : the network alone: a guarded model whose detector flags nothing
    guarded : network and detector
    clean : the images to attack
    threshold : threshold of the detector
    steps : number of steps of each attack
    log : called after each attack

    Returns
    -------
    dict
        The medians ``network`` and ``network_and_detector`` and their ``ratio`` (None if the attack fails on most
        images), and all norms in ascending order (None for a failure). The share of images whose norm is larger than
        eps is the robust accuracy at eps. With certified radii, theirs too, ascending.

    Raises
    ------
    AssertionError
        If the attack evades the detector within a certified radius.
    """
    predicted, _ = predict_and_score(guarded, clean.images)
    correct = predicted == clean.labels
    images, labels = clean.images[correct], clean.labels[correct]
    goal_network, goal_both = (
        Goal(nearest_wrong_outputs(model, images, labels), threshold) for model in (network, guarded)
    )
    alone = minimum_norm_attack(network, LabelOnly(), images, goal_network, steps=steps, unflagged=False).norm
    log(f"network alone: median {alone.median():.3g}")
    found = minimum_norm_attack(guarded, Balanced(), images, goal_both, steps=steps)
    both = found.norm
    clean.check_certificate(found.images, both.isfinite(), torch.nonzero(correct).flatten())
    alone = torch.minimum(alone, both)
    log(f"network and detector: median {both.median():.3g}")
    return {
        "n": len(images),
        "steps": steps,
        "network": finite_or_none(alone.median()),
        "network_and_detector": finite_or_none(both.median()),
        "ratio": finite_or_none(both.median() / alone.median()),
        "norms_network": sorted_norms(alone),
        "norms_network_and_detector": sorted_norms(both),
        **({} if clean.radii is None else {"certified_radii": sorted_norms(clean.radii[correct])}),
    }
