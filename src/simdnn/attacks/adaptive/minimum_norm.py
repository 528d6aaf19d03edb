"""How far an image must be changed: the smallest Euclidean perturbation, of the network alone and past its detector."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from simdnn.attacks.adaptive.attacks import BATCH, AwareAttack, Goal, length_of
from simdnn.attacks.adaptive.module import Guarded
from simdnn.progress import Progress

GAMMA = 0.05
"""Share by which the radius grows or shrinks at each step (Rony and others, CVPR 2019)."""


class Smallest(NamedTuple):
    """The smallest change found: ``images`` (N, 3, H, W), and its ``norm`` (N,); inf where none was found."""

    images: Tensor
    norm: Tensor


def smallest_change(
    guarded: Guarded,
    attack: AwareAttack,
    images: Tensor,
    goal: Goal,
    *,
    steps: int = 100,
    first: float = 1.0,
    unflagged: bool = True,
    batch_size: int = BATCH,
    progress: Progress | None = None,
) -> Smallest:
    """Search for the smallest change that makes the network answer the target, unflagged if asked for.

    The radius shrinks by `GAMMA` after a success and grows after a failure, as in DDN, along an attack's slope.

    Parameters
    ----------
    guarded, attack, images, goal : as for :func:`simdnn.attacks.adaptive.attacks.attack_aware`
    first : radius of the first step
    unflagged : False asks for the network to be fooled, whatever the detector says
    """
    best, norm = images.clone(), torch.full((len(images),), torch.inf)
    for start in range(0, len(images), batch_size):
        rows = torch.arange(start, min(start + batch_size, len(images)))
        clean = images[rows]
        change = torch.zeros_like(clean)
        radius = torch.full((len(rows), 1, 1, 1), first)
        aim = replace(goal, targets=goal.targets[rows])
        for step in range(steps):
            at = (clean + change).clamp(0, 1).requires_grad_(True)
            answered = guarded(at, aim.targets)
            slope = attack.slope(answered, at, aim)
            success = aim.fooled(answered)
            if unflagged:
                success &= answered.score.detach() >= goal.threshold
            moved = length_of(at.detach() - clean).flatten()
            better = success & (moved < norm[rows])
            best[rows[better]], norm[rows[better]] = at.detach()[better], moved[better]
            radius *= torch.where(success, 1 - GAMMA, 1 + GAMMA).view(-1, 1, 1, 1)
            rate = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * step / steps))) * 0.5 + 0.01
            change = change - rate * radius * slope / length_of(slope)
            change = change * (radius / length_of(change))
            change = (clean + change).clamp(0, 1) - clean
            if progress is not None:
                progress(start * steps + len(rows) * (step + 1), len(images) * steps)
    return Smallest(best, norm)
