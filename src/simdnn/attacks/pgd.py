"""Projected gradient descent: Madry and others, ICLR 2018."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from secmlt.adv.evasion.perturbation_models import LpPerturbationModels
from secmlt.adv.evasion.pgd import PGDNative
from secmlt.optimization.initializer import Initializer
from torch import Tensor, nn

from simdnn.attacks.secml_runner import run_secml


@dataclass(frozen=True)
class PGD:
    """PGD, L-inf, from a random start; secml-torch's implementation, which returns the iterate of highest loss.

    Attributes
    ----------
    eps
        Largest change of a pixel, in units of [0, 1] images.
    steps
        Number of steps.
    step_size
        Change of a pixel in one step.
    """

    name: ClassVar[str] = "pgd"
    eps: float
    steps: int
    step_size: float

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch."""
        library_attack = PGDNative(
            perturbation_model=LpPerturbationModels.LINF,
            epsilon=self.eps,
            num_steps=self.steps + 1,  # secml-torch evaluates each iterate before its step, so never the last
            step_size=self.step_size,
            random_start=False,
        )
        library_attack.initializer = _UniformStart(self.eps, generator)
        return run_secml(library_attack, model, images, labels)


class _UniformStart(Initializer):
    """Uniform start within ``eps``; secml-torch's own initializer adds the image to the draw before clipping."""

    def __init__(self, eps: float, generator: torch.Generator) -> None:
        self.eps = eps
        self.generator = generator

    def __call__(self, x: Tensor) -> Tensor:
        return self.eps * (2 * torch.rand(x.shape, generator=self.generator, dtype=x.dtype) - 1)
