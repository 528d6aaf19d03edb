"""Black-box attacks on a guarded network: score-based, decision-based, and by transfer from another network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from simdnn.attacks import Attack, run_attack
from simdnn.attacks.adaptive.goal import BATCH
from simdnn.attacks.adaptive.module import GuardedModel
from simdnn.attacks.hopskipjump import HopSkipJump
from simdnn.evaluation.adaptive.evaluation_images import EvaluationImages
from simdnn.evaluation.adaptive.rejection import DecisionModel
from simdnn.evaluation.adaptive.scoring import (
    finite_or_none,
    predict_and_score,
    robust_share,
)
from simdnn.networks.device import device_of


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
    return {
        **attacked.parameters,
        "misclassified_by_source": float(attacked.success.double().mean()),
        "misclassified": float(misclassified.double().mean()),
        "robust_accuracy": robust_share(torch.where(misclassified, score, -torch.inf), thresholds),
    }


@torch.no_grad()
def random_search(
    guarded: GuardedModel,
    images: Tensor,
    labels: Tensor,
    threshold: float,
    eps: float,
    queries: int,
    seed: int = 0,
) -> float:
    """Return the share of images on which a score-based random search evades network and detector.

    After Square (Andriushchenko and others, ECCV 2020): it raises the margin of the wrong class and, once the image is
    misclassified, the detector's score. ``eps`` is the L-inf radius, ``queries`` the number of queries per image.
    """
    generator = torch.Generator().manual_seed(seed)
    side = images.shape[-1]
    stripes = torch.randint(0, 2, (*images.shape[:2], 1, side), generator=generator) * 2.0 - 1
    change = eps * stripes.expand_as(images).clone()
    best = _search_score(guarded, (images + change).clamp(0, 1), labels, threshold)
    for query in range(queries):
        width = max(1, int(side * (0.5 * (1 - query / queries)) ** 0.5))
        down, right = torch.randint(0, side - width + 1, (2,), generator=generator).tolist()
        candidate = change.clone()
        colour = torch.randint(0, 2, (*images.shape[:2], 1, 1), generator=generator) * 2.0 - 1
        candidate[..., down : down + width, right : right + width] = eps * colour
        reached = _search_score(guarded, (images + candidate).clamp(0, 1), labels, threshold)
        better = reached > best
        change[better], best[better] = candidate[better], reached[better]
    return float((best >= 0).double().mean())


def _search_score(guarded: GuardedModel, images: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """Return (N,) the search's objective, on the CPU: at least 0 where an image is misclassified and unflagged."""
    device = device_of(guarded)
    scores = []
    for batch, label in zip(torch.split(images, BATCH), torch.split(labels, BATCH), strict=True):
        output = guarded.deployed(batch.to(device))
        logits = output.logits.cpu()
        true = logits.gather(1, label[:, None])[:, 0]
        others = logits.scatter(1, label[:, None], -torch.inf).amax(dim=1)
        missing = (threshold - output.score.cpu()).clamp(min=0).double()
        scores.append(torch.where(others > true, -missing, -1e3 + (others - true).double()))
    return torch.cat(scores)
