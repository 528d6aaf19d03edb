"""AutoPGD: Croce and Hein, "Reliable evaluation of adversarial robustness", ICML 2020."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from simdnn.attacks.attack import n_classes
from simdnn.attacks.libraries import pyautoattack, seeded
from simdnn.attacks.pyautoattack_runner import run_pyautoattack
from simdnn.errors import InputError
from simdnn.networks.device import device_of

LOSSES = ("ce", "dlr")
DLR_CLASSES = 3
"""Number of classes that the DLR loss needs: it divides by the difference of the largest and third largest logit."""


@dataclass(frozen=True)
class APGD:
    """PGD, L-inf, that halves its step size when the loss stalls; pyautoattack's implementation.

    Images on which it fails are returned unchanged.

    Attributes
    ----------
    eps
        Largest change of a pixel, in units of [0, 1] images.
    steps
        Number of steps.
    loss
        ``"ce"``, the cross-entropy, or ``"dlr"``, the difference of logits ratio, which needs three classes.
    """

    name: ClassVar[str] = "apgd"
    eps: float
    steps: int = 50
    loss: str = "ce"

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise InputError(f"apgd: expected loss {' or '.join(LOSSES)}, got {self.loss!r}")

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch."""
        device = device_of(model)
        if self.loss == "dlr" and (classes := n_classes(model, images)) < DLR_CLASSES:
            raise InputError(f"the DLR loss needs three classes, the network has {classes}; take loss 'ce'")
        with seeded(generator) as seed:
            library_attack = pyautoattack.autopgd_base.APGDAttack(
                model, n_iter=self.steps, eps=self.eps, loss=self.loss, seed=seed, device=device
            )
            return run_pyautoattack(library_attack, model, images, labels)
