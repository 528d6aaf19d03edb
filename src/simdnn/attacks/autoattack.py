"""AutoAttack, L-inf: Croce and Hein, ICML 2020."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from simdnn.attacks.apgd import APGD, DLR_CLASSES
from simdnn.attacks.attack import classes_of, predict
from simdnn.attacks.fab import FAB
from simdnn.attacks.square import Square
from simdnn.errors import InputError


@dataclass(frozen=True)
class AutoAttack:
    """The four attacks one after the other, each on the images that the ones before did not turn.

    The paper's ensemble aims APGD on the DLR loss and FAB at nine classes each; here the untargeted APGD-DLR is taken,
    and FAB as :class:`FAB` has it. An image that none turned stays as it was.

    Attributes
    ----------
    eps
        Largest change of a pixel, in units of [0, 1] images.
    steps
        Of both runs of APGD.
    queries
        Of the square attack.
    """

    name: ClassVar[str] = "autoattack"
    eps: float
    steps: int = 50
    queries: int = 500

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch."""
        if (classes := classes_of(model, images)) < DLR_CLASSES:
            raise InputError(
                f"autoattack needs three classes for its DLR loss, the network has {classes}; take apgd, fab or square"
            )
        attacked = images.clone()
        for recipe in (
            APGD(self.eps, self.steps, "ce"),
            APGD(self.eps, self.steps, "dlr"),
            FAB(self.eps),
            Square(self.eps, self.queries),
        ):
            left = predict(model, attacked, len(attacked)) == labels
            if left.any():
                attacked[left] = recipe.perturb(model, images[left], labels[left], generator)
        return attacked
