"""Projected gradient descent in the Euclidean norm: Madry and others, ICLR 2018."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from simdnn.attacks.foolbox_runner import run_foolbox
from simdnn.attacks.libraries import foolbox


@dataclass(frozen=True)
class PGDL2:
    """PGD, L2, from a random start; foolbox's implementation.

    Attributes
    ----------
    eps
        Largest L2 norm of the perturbation, over all pixels and channels of an image in [0, 1].
    steps
        Number of steps.
    rel_step_size
        Length of a step, as a share of ``eps``.
    """

    name: ClassVar[str] = "pgd-l2"
    eps: float
    steps: int = 20
    rel_step_size: float = 0.125

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch."""
        library_attack = foolbox.L2PGD(steps=self.steps, rel_stepsize=self.rel_step_size, random_start=True)
        return run_foolbox(library_attack, model, images, labels, generator, self.eps)
