"""Robust accuracy with rejection: the share of images on which no adaptive attack evades network and detector."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor

from simdnn.attacks.adaptive.attacks import ADAPTIVE_ATTACKS, FEATURE_MATCHING
from simdnn.attacks.adaptive.goal import Goal, nearest_wrong_outputs
from simdnn.attacks.adaptive.module import GuardedModel
from simdnn.attacks.adaptive.run import run_adaptive_attack
from simdnn.evaluation.adaptive.evaluation_images import EvaluationImages
from simdnn.evaluation.adaptive.scoring import misclassified_scores, robust_share
from simdnn.networks.device import device_of

Log = Callable[[str], object]
"""Called with a line of progress."""


def robust_accuracy(
    guarded: GuardedModel,
    clean: EvaluationImages,
    thresholds: Mapping[str, float],
    *,
    eps: float,
    norm: str = "inf",
    steps: int = 40,
    attacks: Sequence[str] = tuple(ADAPTIVE_ATTACKS),
    ranks: int = 1,
    restarts: int = 1,
    step_size: float = 0.5,
    surrogate: GuardedModel | None = None,
    goal_score: float | None = None,
    log: Log = str,
) -> dict[str, Any]:
    """Run one attack after the other, each on the images on which all earlier ones failed.

    Parameters
    ----------
    guarded : network and detector, on any device
    clean : the images to attack; certified radii belong to the first threshold
    thresholds : thresholds by name of the false-alarm rate; the attacks aim at the first, the highest one
    eps, norm, steps, step_size : settings of each attack, see :func:`simdnn.attacks.adaptive.run.run_adaptive_attack`
    attacks : names in :data:`simdnn.attacks.adaptive.attacks.ADAPTIVE_ATTACKS`
    ranks : number of target classes that each attack tries, the nearest wrong class first
    restarts : random starts of each attack for each target class
    surrogate : the model that is attacked instead of ``guarded``, for an attacker who does not know all of it
    goal_score : score that the attacks aim at instead of the first threshold; higher for an attacker who does not
        know it exactly
    log : called after each attack

    Returns
    -------
    dict
        ``robust_accuracy``: by threshold, the share of images that are *not* misclassified and unflagged, with its
        interval; ``history``: the same after each attack; ``curves``: see `AdaptiveResult`. Clean images that are
        misclassified and unflagged without an attack count as evasions from the start.

    Raises
    ------
    AssertionError
        If an attack evades the detector within a certified radius.
    """
    images, labels = clean.images, clean.labels
    strictest, attacked = next(iter(thresholds.values())), surrogate or guarded
    best = misclassified_scores(guarded, images, labels)
    history: list[dict[str, Any]] = [{"attack": "none"} | robust_share(best, thresholds)]
    curves: dict[str, list[tuple[float, float]]] = {}
    for name in attacks:
        for rank, start in product(range(ranks), range(restarts)):
            (left,) = torch.nonzero(best < strictest, as_tuple=True)
            if not len(left):
                break
            targets = nearest_wrong_outputs(attacked, images[left], labels[left], rank)
            guides = _guide_features(attacked, clean, targets) if name == FEATURE_MATCHING else None
            result = run_adaptive_attack(
                attacked,
                ADAPTIVE_ATTACKS[name],
                images[left],
                Goal(targets, strictest if goal_score is None else goal_score, guides),
                eps=eps,
                norm=norm,
                steps=steps,
                step_size=step_size,
                seed=start,
            )
            # The attack's own scores are those of the surrogate.
            scores = misclassified_scores(guarded, result.images, labels[left])
            clean.check_certificate(result.images, scores >= strictest, left)
            best[left] = torch.maximum(best[left], scores)
            label = name + f", class {rank + 1}" * (ranks > 1) + f", start {start + 1}" * (restarts > 1)
            curves[label] = result.curve
            history.append({"attack": label} | robust_share(best, thresholds))
            log(f"eps {eps:.4g}, {label}: {robust_share(best, thresholds)}")
    return {
        "norm": norm,
        "eps": eps,
        "steps": steps,
        "step_size": step_size,
        "restarts": restarts,
        "history": history,
        "curves": curves,
        "robust_accuracy": robust_share(best, thresholds),
    }


@torch.no_grad()
def _guide_features(guarded: GuardedModel, clean: EvaluationImages, targets: Tensor) -> Tensor:
    """Return the features of one clean image of each target's class: (N, d), on the CPU."""
    rows = [int(torch.nonzero(clean.guide_labels == target)[0]) for target in targets]
    device = device_of(guarded)
    return torch.cat(
        [guarded(batch.to(device)).features.cpu() for batch in torch.split(clean.guides[rows], 25)]
    )
