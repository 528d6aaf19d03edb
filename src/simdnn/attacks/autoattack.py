"""AutoAttack, L-inf: Croce and Hein, ICML 2020."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from simdnn.attacks.apgd import APGD, DLR_CLASSES
from simdnn.attacks.attack import n_classes, predict
from simdnn.attacks.fab import FAB
from simdnn.attacks.square import Square
from simdnn.errors import InputError


@dataclass(frozen=True)
class AutoAttack:
    """APGD-CE, APGD-DLR, FAB and Square in turn, each on the images that are still correctly classified.

    The standard version runs APGD-DLR and FAB against nine target classes each. Here APGD-DLR is untargeted, and FAB
    has the targets of :class:`FAB`. Images on which all four fail are returned unchanged.

    Attributes
    ----------
    eps
        Largest change of a pixel, in units of [0, 1] images.
    steps
        Number of steps of each run of APGD.
    queries
        Number of queries of Square.
    """

    name: ClassVar[str] = "autoattack"
    eps: float
    steps: int = 50
    queries: int = 500

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch."""
        if (classes := n_classes(model, images)) < DLR_CLASSES:
            raise InputError(
                f"autoattack needs three classes for its DLR loss, the network has {classes}; take apgd, fab or square"
            )
        attacked = images.clone()
        for attack in (
            APGD(self.eps, self.steps, "ce"),
            APGD(self.eps, self.steps, "dlr"),
            FAB(self.eps),
            Square(self.eps, self.queries),
        ):
            correct = predict(model, attacked, len(attacked)) == labels
            if correct.any():
                attacked[correct] = attack.perturb(model, images[correct], labels[correct], generator)
        return attacked
