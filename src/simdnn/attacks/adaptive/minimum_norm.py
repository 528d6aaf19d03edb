"""Minimum-norm adaptive attack, L2: misclassified and, unless switched off, unflagged."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from simdnn.attacks.adaptive.attacks import AdaptiveAttack, length_of
from simdnn.attacks.adaptive.goal import BATCH, Goal
from simdnn.attacks.adaptive.module import GuardedModel
from simdnn.networks.device import device_of
from simdnn.progress import Progress

GAMMA = 0.05
"""Share by which the radius grows or shrinks at each step (Rony and others, CVPR 2019)."""


class MinimumNorm(NamedTuple):
    """Attacked ``images`` (N, 3, H, W) and their perturbations' L2 ``norm`` (N,), inf for failures; on the CPU."""

    images: Tensor
    norm: Tensor


def minimum_norm_attack(
    guarded: GuardedModel,
    attack: AdaptiveAttack,
    images: Tensor,
    goal: Goal,
    *,
    steps: int = 100,
    first_radius: float = 1.0,
    unflagged: bool = True,
    batch_size: int = BATCH,
    progress: Progress | None = None,
) -> MinimumNorm:
    """Search for the perturbation of smallest L2 norm with which the network predicts the target.

    As in DDN, the radius shrinks by `GAMMA` after a success and grows after a failure; the direction is the gradient of
    an adaptive attack.

    Parameters
    ----------
    guarded, attack, images, goal, progress : as for :func:`simdnn.attacks.adaptive.run.run_adaptive_attack`
    steps : number of steps
    first_radius : L2 radius of the first step, in units of [0, 1] images
    unflagged : whether success requires that the image is not flagged
    batch_size : images attacked together

    Raises
    ------
    InputError
        If the attack needs guides and the goal has none.
    """
    device = device_of(guarded)
    best, norm = images.clone(), torch.full((len(images),), torch.inf)
    for start in range(0, len(images), batch_size):
        rows = torch.arange(start, min(start + batch_size, len(images)))
        clean = images[rows].to(device)
        change = torch.zeros_like(clean)
        radius = torch.full((len(rows), 1, 1, 1), first_radius, device=device)
        batch_goal = goal.rows(rows, device)
        for step in range(steps):
            iterate = (clean + change).clamp(0, 1).requires_grad_(True)
            output = guarded(iterate, batch_goal.targets)
            gradient = attack.gradient(output, iterate, batch_goal)
            success = batch_goal.misclassified(output)
            if unflagged:
                scores, margins = batch_goal.confirm(guarded, iterate, output)
                success &= scores >= goal.threshold
                batch_goal = replace(batch_goal, margin=margins)
            length = length_of(iterate.detach() - clean).flatten().cpu()
            better = success.cpu() & (length < norm[rows])
            best[rows[better]], norm[rows[better]] = iterate.detach().cpu()[better], length[better]
            radius *= torch.where(success, 1 - GAMMA, 1 + GAMMA).view(-1, 1, 1, 1)
            step_size = float(0.25 * (1 + torch.cos(torch.tensor(torch.pi * step / steps))) + 0.01)
            change = change - step_size * radius * gradient / length_of(gradient)
            change = change * (radius / length_of(change))
            change = (clean + change).clamp(0, 1) - clean
            if progress is not None:
                progress(start * steps + len(rows) * (step + 1), len(images) * steps)
    return MinimumNorm(best, norm)
