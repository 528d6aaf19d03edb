"""The images that a detector is attacked on, and how what was found is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from simdnn.attacks.adaptive.attacks import BATCH
from simdnn.attacks.adaptive.module import Guarded
from simdnn.evaluation.intervals import rate


@dataclass(frozen=True)
class Examined:
    """The images that a detector is attacked on.

    Attributes
    ----------
    images, truth : (N, 3, H, W) in [0, 1], and (N,) the right outputs
    guides, guide_truth : clean images whose features the attacker may imitate, and their outputs
    """

    images: Tensor
    truth: Tensor
    guides: Tensor
    guide_truth: Tensor


@torch.no_grad()
def answers(guarded: Guarded, images: Tensor, batch_size: int = BATCH) -> tuple[Tensor, Tensor]:
    """Return the network's answers and the scores of images: (N,) each."""
    said = [guarded(batch) for batch in torch.split(images, batch_size)]
    return torch.cat([one.logits.argmax(dim=1) for one in said]), torch.cat(
        [one.score for one in said]
    ).double()


def shares(best: Tensor, thresholds: Mapping[str, float]) -> dict[str, Any]:
    """Return the share of wrong answers' ``best`` scores (N,) that lie below each threshold, with its interval."""
    n = len(best)
    return {name: rate(int((best < offset).sum()), n)._asdict() for name, offset in thresholds.items()}


def ordered(norms: Tensor) -> list[float | None]:
    """Return norms from the smallest on, as :func:`or_none`."""
    return [or_none(norm) for norm in norms.sort().values]


def or_none(number: Tensor) -> float | None:
    """Return a number, or None where it is infinite, which JSON does not know."""
    return round(float(number), 5) if number.isfinite() else None
