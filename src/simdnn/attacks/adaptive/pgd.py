"""Adaptive PGD with the interface of :class:`~simdnn.attacks.attack.Attack`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from simdnn.attacks.adaptive.attacks import ADAPTIVE_ATTACKS, FEATURE_MATCHING
from simdnn.attacks.adaptive.goal import Goal, nearest_wrong_outputs
from simdnn.attacks.adaptive.module import Rejecting
from simdnn.attacks.adaptive.run import NORMS, run_adaptive_attack
from simdnn.errors import InputError

METHODS = tuple(name for name in ADAPTIVE_ATTACKS if name != FEATURE_MATCHING)
"""Names of the adaptive attacks except feature matching, which needs clean images of the target."""


@dataclass(frozen=True)
class AdaptivePGD:
    """PGD on network and detector, targeted at the nearest wrong class.

    Attributes
    ----------
    method : one of `METHODS`
    eps, norm, steps : see :func:`simdnn.attacks.adaptive.run.run_adaptive_attack`
    """

    name: ClassVar[str] = "adaptive-pgd"
    method: str
    eps: float
    norm: str = "inf"
    steps: int = 40

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch; ``model`` must be :class:`Rejecting`, else InputError."""
        if not isinstance(model, Rejecting):
            raise InputError(f"an adaptive attack needs a Rejecting network, got {type(model).__name__}")
        guarded = model.guarded
        goal = Goal(nearest_wrong_outputs(guarded, images, labels), guarded.threshold)
        seed = int(torch.randint(2**31, (1,), generator=generator))
        return run_adaptive_attack(
            guarded,
            ADAPTIVE_ATTACKS[self.method],
            images,
            goal,
            eps=self.eps,
            norm=self.norm,
            steps=self.steps,
            seed=seed,
        ).images


def make_adaptive_attack(method: str, **settings: Any) -> AdaptivePGD:
    """Make an adaptive attack from settings, such as ``eps=0.01, norm=2``.

    Raises
    ------
    InputError
        If a parameter is unknown, missing, of the wrong type, or outside its range.

    >>> make_adaptive_attack("selective", eps=0.01)
    AdaptivePGD(method='selective', eps=0.01, norm='inf', steps=40)
    """
    if "eps" not in settings:
        raise InputError(f"{method} needs eps, the radius of its ball")
    if unknown := settings.keys() - {"eps", "norm", "steps"}:
        raise InputError(f"{method} has no parameter {', '.join(sorted(unknown))}; it has eps, norm, steps")
    attack = AdaptivePGD(method, **settings | {"norm": str(settings.get("norm", "inf"))})
    numbers = isinstance(attack.eps, (int, float)) and isinstance(attack.steps, int)
    if attack.norm not in NORMS or not numbers or not 0 < attack.eps < float("inf") or attack.steps < 1:
        raise InputError(
            f"{method}: expected the norm inf or 2, a number eps and whole steps above 0; got {settings}"
        )
    return attack
