"""The images on which a guarded network is evaluated."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class EvaluationImages:
    """Clean images to attack, all on the CPU.

    Attributes
    ----------
    images, labels : (N, 3, H, W) in [0, 1], and (N,) the true outputs
    guides, guide_labels : (M, 3, H, W) clean images whose features the attacker may match, and (M,) their outputs
    """

    images: Tensor
    labels: Tensor
    guides: Tensor
    guide_labels: Tensor
