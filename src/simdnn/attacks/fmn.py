"""The fast minimum-norm attack, L2: Pintor, Roli, Brendel and Biggio, NeurIPS 2021."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from secmlt.adv.evasion.fmn import FMNNative
from secmlt.adv.evasion.perturbation_models import LpPerturbationModels
from torch import Tensor, nn

from simdnn.attacks.attack import LEVELS
from simdnn.attacks.secml_runner import RoundedToLevels, run_secml


@dataclass(frozen=True)
class FMN:
    """Minimum-norm attack, L2, within a ball whose radius adapts to the decision boundary; secml-torch's.

    On a linear network the result of foolbox's FMN has twice the norm. In every step the image is rounded to the levels
    of an image file, as in :class:`DDN`.

    Attributes
    ----------
    steps
        Number of steps.
    step_size
        Size of the first step; it falls with cosine annealing.
    gamma
        Share by which the radius grows or shrinks in the first step.
    levels
        Number of levels of a channel to which the image is rounded; 256 for 8 bits.
    """

    name: ClassVar[str] = "fmn"
    steps: int = 60
    step_size: float = 1.0
    gamma: float = 0.05
    levels: int = LEVELS

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch, without random numbers."""
        del generator
        library_attack = FMNNative(
            LpPerturbationModels.L2, num_steps=self.steps, max_step_size=self.step_size, gamma=self.gamma
        )
        library_attack.manipulation_function.domain_constraints.append(RoundedToLevels(self.levels))
        return run_secml(library_attack, model, images, labels)
