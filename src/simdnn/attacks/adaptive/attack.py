"""An attack that knows of the detector, as a recipe like the others: for files, and for whoever takes recipes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from simdnn.attacks.adaptive.attacks import ATTACKS, Goal, attack_aware, nearest_wrong
from simdnn.attacks.adaptive.module import Rejecting
from simdnn.errors import InputError

WAYS = tuple(name for name in ATTACKS if name != "matching")  # which needs images of the target to imitate


@dataclass(frozen=True)
class Aware:
    """Make the network answer the nearest wrong class, and the detector let it pass.

    Attributes
    ----------
    way : one of `WAYS`
    eps, norm, steps : see :func:`simdnn.attacks.adaptive.attacks.attack_aware`
    """

    name: ClassVar[str] = "aware"
    way: str
    eps: float
    norm: str = "inf"
    steps: int = 40

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return attacked images; those that did not get through go as far as they came, see `Found`."""
        if not isinstance(model, Rejecting):
            raise InputError(
                "an attack that knows of the detector needs a network with its detector, Rejecting"
            )
        guarded = model.guarded
        goal = Goal(nearest_wrong(guarded, images, labels), guarded.threshold)
        seed = int(torch.randint(2**31, (1,), generator=generator))
        return attack_aware(
            guarded,
            ATTACKS[self.way],
            images,
            goal,
            eps=self.eps,
            norm=self.norm,
            steps=self.steps,
            seed=seed,
        ).images


def aware(way: str, **settings: Any) -> Aware:
    """Make an attack that knows of the detector from plain settings; InputError if they do not fit."""
    if "eps" not in settings:
        raise InputError(f"{way} needs eps, the radius that it may use")
    if unknown := settings.keys() - {"eps", "norm", "steps"}:
        raise InputError(f"{way} has no parameter {', '.join(sorted(unknown))}; it has eps, norm, steps")
    made = Aware(way, **settings | {"norm": str(settings.get("norm", "inf"))})
    numbers = isinstance(made.eps, (int, float)) and isinstance(made.steps, int)
    if made.norm not in ("inf", "2") or not numbers or not 0 < made.eps < float("inf") or made.steps < 1:
        raise InputError(
            f"{way}: expected the norm inf or 2, a number eps and whole steps above 0; got {settings}"
        )
    return made
