"""Decoupled direction and norm: Rony and others, CVPR 2019."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from secmlt.adv.evasion.ddn import DDNNative
from torch import Tensor, nn

from simdnn.attacks.attack import LEVELS
from simdnn.attacks.secml import Rounded, run


@dataclass(frozen=True)
class DDN:
    """The smallest Euclidean change that turns the network's label, found in few steps.

    The steps are secml-torch's. As in the authors' own program, the image is rounded in every step to the levels
    that an image file can hold; without that, the change is so small that writing the file often undoes it. An
    image that no step turned stays as it was.

    Attributes
    ----------
    steps
        Number of steps.
    levels
        Levels of a channel to which the image is rounded; 256 for 8 bits.
    """

    name: ClassVar[str] = "ddn"
    steps: int
    levels: int = LEVELS

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch; nothing is drawn."""
        del generator
        native = DDNNative(
            num_steps=self.steps, eps_init=1.0
        )  # the paper's first norm; the library's is 8/255
        native.manipulation_function.domain_constraints.append(Rounded(self.levels))
        return run(native, model, images, labels)
