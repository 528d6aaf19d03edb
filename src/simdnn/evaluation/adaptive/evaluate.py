"""What attackers who know of a detector reach against it: robust accuracy with rejection, and what it costs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from simdnn.attacks.adaptive.attacks import ATTACKS, AwareAttack, Goal, LabelOnly, attack_aware, nearest_wrong
from simdnn.attacks.adaptive.minimum_norm import smallest_change
from simdnn.attacks.adaptive.module import Guarded
from simdnn.evaluation.adaptive.black_box import random_search
from simdnn.evaluation.adaptive.images import Examined, answers, or_none, ordered, shares

Tell = Callable[[str], object]


def robust_accuracy(
    guarded: Guarded,
    examined: Examined,
    thresholds: Mapping[str, float],
    *,
    eps: float,
    norm: str = "inf",
    steps: int = 40,
    attacks: Sequence[str] = tuple(ATTACKS),
    ranks: int = 1,
    stand_in: Guarded | None = None,
    aim: float | None = None,
    tell: Tell = str,
) -> dict[str, Any]:
    """Attack with one attack after the other; each gets the images that those before it did not bring through.

    Parameters
    ----------
    guarded : network and detector
    examined : on what
    thresholds : by false-alarm rate; the attacks aim at the first, the strictest
    eps, norm, steps : of every attack
    attacks : names in `ATTACKS`
    ranks : wrong classes that each attack aims at, nearest first
    stand_in : what the attacker has in its place, where he does not know all of it
    aim : score that the attacks aim at, if not the strictest threshold; higher for an attacker who is not sure of it
    tell : told after each attack

    Returns
    -------
    For each threshold the share of images whose wrong answer does *not* come through unflagged, with its interval,
    after each attack in turn; clean images that do so without being attacked count against it from the start.
    """
    images, truth = examined.images, examined.truth
    strictest, known = next(iter(thresholds.values())), stand_in or guarded
    given, score = answers(guarded, images)
    best = torch.where(given != truth, score, -torch.inf)
    history: list[dict[str, Any]] = [{"attack": "none"} | shares(best, thresholds)]
    curves: dict[str, list[tuple[float, float]]] = {}
    for name in attacks:
        for rank in range(ranks):
            (left,) = torch.nonzero(best < strictest, as_tuple=True)
            if not len(left):
                break
            targets = nearest_wrong(known, images[left], truth[left], rank)
            guides = _features(known, examined, targets) if name == "matching" else None
            found = attack_aware(
                known,
                ATTACKS[name],
                images[left],
                Goal(targets, strictest if aim is None else aim, guides),
                eps=eps,
                norm=norm,
                steps=steps,
            )
            # what counts is the answer as it is, not as the attack pretends it to be
            given, score = answers(guarded, found.images)
            reached = torch.where(given != truth[left], score, -torch.inf)
            best[left] = torch.maximum(best[left], reached)
            label = name if ranks == 1 else f"{name}, class {rank + 1}"
            curves[label] = found.curve
            history.append({"attack": label} | shares(best, thresholds))
            tell(f"eps {eps:.4g}, {label}: {shares(best, thresholds)}")
    return {
        "norm": norm,
        "eps": eps,
        "steps": steps,
        "history": history,
        "curves": curves,
        "robust_accuracy": shares(best, thresholds),
    }


def cost(
    network: Guarded,
    guarded: Guarded,
    examined: Examined,
    threshold: float,
    *,
    steps: int = 80,
    tell: Tell = str,
) -> dict[str, Any]:
    """Compare the smallest change that fools the network with the smallest that fools network and detector: medians.

    Over images that the network has right, towards the nearest wrong class; what fools both fools the network, too.

    Parameters
    ----------
    network : the network alone, as :class:`Guarded` by a detector that flags nothing
    guarded : network and detector
    examined : on what
    threshold : of the detector
    steps : of each search

    Returns
    -------
    Medians, their ratio, and every norm in order (None: no such change was found), which is the curve over eps: the
    share of images whose norm is larger is what remains at that radius.
    """
    given, _ = answers(guarded, examined.images)
    right = given == examined.truth
    images, truth = examined.images[right], examined.truth[right]
    attack: AwareAttack = ATTACKS["selective"]
    nearest, near = (Goal(nearest_wrong(of, images, truth), threshold) for of in (network, guarded))
    alone = smallest_change(network, LabelOnly(), images, nearest, steps=steps, unflagged=False).norm
    tell(f"network alone: median {alone.median():.3g}")
    both = smallest_change(guarded, attack, images, near, steps=steps).norm
    alone = torch.minimum(alone, both)
    tell(f"network and detector: median {both.median():.3g}")
    return {
        "n": len(images),
        "steps": steps,
        "network": or_none(alone.median()),
        "network_and_detector": or_none(both.median()),
        "ratio": or_none(both.median() / alone.median()),
        "norms_network": ordered(alone),
        "norms_network_and_detector": ordered(both),
    }


def symptoms(
    guarded: Guarded, examined: Examined, threshold: float, eps: float, steps: int = 40
) -> dict[str, Any]:
    """Look for the five signs of an evaluation that is broken (Carlini and others, On evaluating robustness, 2019).

    Returns
    -------
    By sign, what was measured and whether it is ``fine``: slopes that vanish, random noise or a black box that does as
    well as the slope, steps that do not help, an unbounded attack that does not reach all.
    """
    images, truth = examined.images, examined.truth
    goal = Goal(nearest_wrong(guarded, images, truth), threshold)

    def share(name: str, radius: float, count: int) -> float:
        found = attack_aware(guarded, ATTACKS[name], images, goal, eps=radius, steps=count)
        return float((found.score >= threshold).double().mean())

    at = images[:20].clone().requires_grad_(True)
    aim = Goal(goal.targets[:20], threshold)
    answered = guarded(at, aim.targets)
    going = (aim.label_loss(answered) + aim.detector_loss(answered) > 0).detach()
    slope = ATTACKS["joint-1"].slope(answered, at, aim)
    vanished = int((slope.flatten(1).norm(dim=1)[going] < 1e-12).sum())
    few, many = share("selective", eps, max(2, steps // 10)), share("selective", eps, steps)
    unbounded = share("selective", 1.0, 2 * steps)
    noise = images + eps * (
        2 * torch.randint(0, 2, images.shape, generator=torch.Generator().manual_seed(0)) - 1
    )
    given, score = answers(guarded, noise.clamp(0, 1))
    by_noise = float(((given != truth) & (score >= threshold)).double().mean())
    by_search = random_search(guarded, images, truth, threshold, eps, queries=steps)
    return {
        "slopes that vanish": {"n": vanished, "of": int(going.sum()), "fine": vanished == 0},
        "more steps help": {"few": few, "many": many, "fine": many >= few},
        "unbounded": {"share": unbounded, "fine": unbounded >= 0.99},
        "random noise": {"share": by_noise, "fine": by_noise <= many},
        "black box": {"share": by_search, "fine": by_search <= many},
    }


def _features(guarded: Guarded, examined: Examined, targets: Tensor) -> Tensor:
    """Return the features of one clean image of each target's class: (N, d)."""
    rows = [int(torch.nonzero(examined.guide_truth == target)[0]) for target in targets]
    with torch.no_grad():
        return torch.cat([guarded(batch).features for batch in torch.split(examined.guides[rows], 25)])
