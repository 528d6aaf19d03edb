"""Decoupled direction and norm: Rony and others, CVPR 2019."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from secmlt.adv.evasion.ddn import DDNNative
from torch import Tensor, nn

from simdnn.attacks.attack import LEVELS
from simdnn.attacks.secml_runner import RoundedToLevels, run_secml


@dataclass(frozen=True)
class DDN:
    """Minimum-norm attack, L2, in few steps; secml-torch's implementation.

    As in the authors' implementation, the image is rounded in every step to the levels of an image file. Otherwise the
    perturbation is so small that writing the file often undoes it. Images on which it fails are returned unchanged.

    Attributes
    ----------
    steps
        Number of steps.
    levels
        Number of levels of a channel to which the image is rounded; 256 for 8 bits.
    """

    name: ClassVar[str] = "ddn"
    steps: int
    levels: int = LEVELS

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch, without random numbers."""
        del generator
        library_attack = DDNNative(
            num_steps=self.steps, eps_init=1.0
        )  # the paper's first norm; the library's is 8/255
        library_attack.manipulation_function.domain_constraints.append(RoundedToLevels(self.levels))
        return run_secml(library_attack, model, images, labels)
