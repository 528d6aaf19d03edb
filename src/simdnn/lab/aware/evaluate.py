"""What attackers who know of a detector reach against it: robust accuracy with rejection, and what it costs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from simdnn.lab.aware.attacks import ATTACKS, BATCH, AwareAttack, Goal, LabelOnly, attack_aware, nearest_wrong
from simdnn.lab.aware.minimum import smallest_change
from simdnn.lab.aware.module import Guarded
from simdnn.lab.intervals import rate

Tell = Callable[[str], object]


@dataclass(frozen=True)
class Examined:
    """The images that a detector is attacked on.

    Attributes
    ----------
    images, truth : (N, 3, H, W) in [0, 1], and (N,) the right outputs
    guides, guide_truth : clean images whose features the attacker may imitate, and their outputs
    """

    images: Tensor
    truth: Tensor
    guides: Tensor
    guide_truth: Tensor


@torch.no_grad()
def answers(guarded: Guarded, images: Tensor, batch_size: int = BATCH) -> tuple[Tensor, Tensor]:
    """Return the network's answers and the scores of images: (N,) each."""
    said = [guarded(batch) for batch in torch.split(images, batch_size)]
    return torch.cat([one.logits.argmax(dim=1) for one in said]), torch.cat(
        [one.score for one in said]
    ).double()


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
    history: list[dict[str, Any]] = [{"attack": "none"} | _shares(best, thresholds)]
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
            history.append({"attack": label} | _shares(best, thresholds))
            tell(f"eps {eps:.4g}, {label}: {_shares(best, thresholds)}")
    return {
        "norm": norm,
        "eps": eps,
        "steps": steps,
        "history": history,
        "curves": curves,
        "robust_accuracy": _shares(best, thresholds),
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

    Over images that the network has right, towards the nearest wrong class.

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
    goal = Goal(nearest_wrong(guarded, images, truth), threshold)
    attack: AwareAttack = ATTACKS["selective"]
    alone = smallest_change(network, LabelOnly(), images, goal, steps=steps, unflagged=False).norm
    tell(f"network alone: median {alone.median():.3g}")
    both = smallest_change(guarded, attack, images, goal, steps=steps).norm
    tell(f"network and detector: median {both.median():.3g}")
    return {
        "n": len(images),
        "steps": steps,
        "network": _or_none(alone.median()),
        "network_and_detector": _or_none(both.median()),
        "ratio": _or_none(both.median() / alone.median()),
        "norms_network": _ordered(alone),
        "norms_network_and_detector": _ordered(both),
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


@torch.no_grad()
def random_search(
    guarded: Guarded, images: Tensor, truth: Tensor, threshold: float, eps: float, queries: int, seed: int = 0
) -> float:
    """Return the share of images brought through by a search without slopes, over squares of changed pixels.

    After Square (Andriushchenko and others, ECCV 2020), on the margin of the label and, once that is gone, the score.
    """
    draw = torch.Generator().manual_seed(seed)
    side = images.shape[-1]
    stripes = torch.randint(0, 2, (*images.shape[:2], 1, side), generator=draw) * 2.0 - 1
    change = eps * stripes.expand_as(images).clone()
    best = _progress(guarded, (images + change).clamp(0, 1), truth, threshold)
    for query in range(queries):
        width = max(1, int(side * (0.5 * (1 - query / queries)) ** 0.5))
        down, right = torch.randint(0, side - width + 1, (2,), generator=draw).tolist()
        tried = change.clone()
        colour = torch.randint(0, 2, (*images.shape[:2], 1, 1), generator=draw) * 2.0 - 1
        tried[..., down : down + width, right : right + width] = eps * colour
        reached = _progress(guarded, (images + tried).clamp(0, 1), truth, threshold)
        better = reached > best
        change[better], best[better] = tried[better], reached[better]
    return float((best >= 0).double().mean())


def _progress(guarded: Guarded, images: Tensor, truth: Tensor, threshold: float) -> Tensor:
    """Return how far images are on their way: at least 0 is through, (N,)."""
    found = []
    for batch, right in zip(torch.split(images, 25), torch.split(truth, 25), strict=True):
        said = guarded(batch)
        own = said.logits.gather(1, right[:, None])[:, 0]
        others = said.logits.scatter(1, right[:, None], -torch.inf).amax(dim=1)
        missing = (threshold - said.score).clamp(min=0).double()
        found.append(torch.where(others > own, -missing, -1e3 + (others - own).double()))
    return torch.cat(found)


def _ordered(norms: Tensor) -> list[float | None]:
    return [_or_none(norm) for norm in norms.sort().values]


def _or_none(number: Tensor) -> float | None:
    """Return a number, or None where it is infinite, which JSON does not know."""
    return round(float(number), 5) if number.isfinite() else None


def _features(guarded: Guarded, examined: Examined, targets: Tensor) -> Tensor:
    """Return the features of one clean image of each target's class: (N, d)."""
    rows = [int(torch.nonzero(examined.guide_truth == target)[0]) for target in targets]
    with torch.no_grad():
        return torch.cat([guarded(batch).features for batch in torch.split(examined.guides[rows], 25)])


def _shares(best: Tensor, thresholds: Mapping[str, float]) -> dict[str, Any]:
    n = len(best)
    return {name: rate(int((best < offset).sum()), n)._asdict() for name, offset in thresholds.items()}
