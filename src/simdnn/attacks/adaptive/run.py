"""Run an adaptive attack: projected gradient descent that returns the best iterate."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from simdnn.attacks.adaptive.attacks import AdaptiveAttack, length_of
from simdnn.attacks.adaptive.goal import BATCH, Goal
from simdnn.attacks.adaptive.module import GuardedModel
from simdnn.errors import InputError
from simdnn.networks.device import device_of
from simdnn.progress import Progress

NORMS = ("inf", "2")


class AdaptiveResult(NamedTuple):
    """Result of an adaptive attack on N images; all on the CPU.

    Attributes
    ----------
    images : (N, 3, H, W) the iterate of highest score among those that are classified as the target; the clean image
        if there are none
    score : (N,) that score, float64, as network and detector in use give it where it is not flagged; -inf if there are
        none
    curve : for each step, the mean loss of the detector, and the share of images that evaded network and detector so
        far
    """

    images: Tensor
    score: Tensor
    curve: list[tuple[float, float]]


def run_adaptive_attack(
    guarded: GuardedModel,
    attack: AdaptiveAttack,
    images: Tensor,
    goal: Goal,
    *,
    eps: float,
    norm: str = "inf",
    steps: int = 40,
    step_size: float = 0.5,
    seed: int = 0,
    batch_size: int = BATCH,
    progress: Progress | None = None,
) -> AdaptiveResult:
    """Attack images within a ball around each; an image stops once it is misclassified and unflagged.

    Parameters
    ----------
    guarded : network and detector, on any device; batches go there
    attack : one of :data:`simdnn.attacks.adaptive.attacks.ADAPTIVE_ATTACKS`
    images : (N, 3, H, W) in [0, 1], on the CPU
    goal : targets, and guides if the attack needs them, on the CPU
    eps, norm : radius of the ball, in units of [0, 1] images, and its norm, ``"inf"`` or ``"2"``
    steps : number of steps from a random start
    step_size : of the first step, as a part of eps; it falls to 0 with cosine annealing
    seed : seed of the random starts
    batch_size : images attacked together
    progress : called with the numbers of steps done and of all steps, each step of an image counting as one

    Raises
    ------
    InputError
        If there is no such norm, or the attack needs guides and the goal has none.
    """
    if norm not in NORMS:
        raise InputError(f"expected the norm 'inf' or '2', got {norm!r}")
    device = device_of(guarded)
    generator = torch.Generator().manual_seed(seed)
    best, score = images.clone(), torch.full((len(images),), -torch.inf, dtype=torch.float64)
    losses, evaded = torch.zeros(steps), torch.zeros(steps)
    for start in range(0, len(images), batch_size):
        rows = torch.arange(start, min(start + batch_size, len(images)))
        clean = images[rows].to(device)
        change = _random_start(images[rows], eps, norm, generator).to(device)
        active = torch.arange(len(rows))  # positions in the batch
        margins = goal.rows(rows, device).margin
        for step in range(steps):
            if not len(active):
                evaded[step:] += len(rows)
                break
            iterate = (clean[active] + change[active]).clamp(0, 1).requires_grad_(True)
            batch_goal = replace(goal.rows(rows[active], device), margin=margins[active])
            output = guarded(iterate, batch_goal.targets)
            gradient = attack.gradient(output, iterate, batch_goal)
            scores, margins[active] = batch_goal.confirm(guarded, iterate, output)
            reached = scores.cpu()
            better = batch_goal.misclassified(output).cpu() & (reached > score[rows[active]])
            if better.any():
                improved = rows[active[better]]
                best[improved], score[improved] = iterate.detach().cpu()[better], reached[better]
            losses[step] += float(batch_goal.detector_loss(output).detach().sum())
            done = score[rows[active]] >= goal.threshold
            evaded[step] += len(rows) - len(active) + int(done.sum())
            length = eps * step_size * 0.5 * (1 + math.cos(math.pi * step / steps))
            moved = _stepped(change[active], gradient, length, eps, norm)
            change[active] = (clean[active] + moved).clamp(0, 1) - clean[active]
            active = active[~done]
            if progress is not None:
                progress(start * steps + len(rows) * (step + 1), len(images) * steps)
    curve = [(float(a) / len(images), float(b) / len(images)) for a, b in zip(losses, evaded, strict=True)]
    return AdaptiveResult(best, score, curve)


def _random_start(images: Tensor, eps: float, norm: str, generator: torch.Generator) -> Tensor:
    noise = torch.rand(images.shape, generator=generator) * 2 - 1
    if norm == "inf":
        return noise * eps / 2
    return noise / length_of(noise) * eps / 2


def _stepped(change: Tensor, gradient: Tensor, length: float, eps: float, norm: str) -> Tensor:
    """Take one step of a length down the gradient, and project onto the ball."""
    if norm == "inf":
        return (change - length * gradient.sign()).clamp(-eps, eps)
    moved = change - length * gradient / length_of(gradient)
    return moved * (eps / length_of(moved)).clamp(max=1)
