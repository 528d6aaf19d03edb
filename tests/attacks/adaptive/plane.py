"""A network with a detector whose boundaries are lines: every output is known."""

from __future__ import annotations

import torch
from torch import Tensor

from simdnn.attacks.adaptive import Goal, GuardedOutput


class Plane:
    """Two pixels x and y: the network predicts 1 where x > 0.6, the detector flags where y < 0.5."""

    threshold = 0.0

    def __call__(self, images: Tensor, output: Tensor | None = None) -> GuardedOutput:
        x, y = images[:, 0, 0, 0], images[:, 0, 0, 1]
        logits = torch.stack([0.6 - x, x - 0.6], dim=1) * 10
        return GuardedOutput(logits, (y - 0.5).double()[:, None], images.flatten(1))

    def target_logits(self, images: Tensor) -> Tensor:
        return self(images).logits

    def deployed(self, images: Tensor) -> GuardedOutput:
        return self(images)


def at(x: float, y: float) -> Tensor:
    return torch.tensor([x, y]).expand(1, 3, 1, 2).clone()


GOAL = Goal(torch.tensor([1]), 0.0, guides=at(0.9, 0.9).flatten(1))
