"""What an attacker of a guarded network wants: a target class, and a score that passes the detector."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from simdnn.attacks.adaptive.module import GuardedModel, GuardedOutput
from simdnn.networks.device import device_of

BATCH = 8
"""Images attacked together, each with its views; larger batches fall out of a CPU's cache and are slower per image."""

MARGIN = 0.1
"""How far beyond the decision boundary, in logits and in score, an attack aims to end."""


@dataclass(frozen=True)
class Goal:
    """Targets of N images.

    Attributes
    ----------
    targets : (N,) outputs that the network is to predict
    threshold : the score to reach: an image is flagged if its score lies below
    guides : (N, d) features of clean images of the targets' classes, for feature matching
    """

    targets: Tensor
    threshold: float
    guides: Tensor | None = None

    def rows(self, rows: Tensor, device: torch.device) -> Self:
        """Return the goal of some of the images, (n,) indices, on a device."""
        guides = None if self.guides is None else self.guides[rows].to(device)
        return replace(self, targets=self.targets[rows].to(device), guides=guides)

    def misclassified(self, output: GuardedOutput) -> Tensor:
        """Return whether the network predicts the target, (N,) bool."""
        return output.logits.argmax(dim=1) == self.targets

    def label_loss(self, output: GuardedOutput) -> Tensor:
        """Return how far the target is behind the largest other logit: (N,), at least 0."""
        target = self.targets[:, None]
        others = output.logits.scatter(1, target, -torch.inf).amax(dim=1)
        return (others - output.logits.gather(1, target)[:, 0] + MARGIN).clamp(min=0)

    def detector_loss(self, output: GuardedOutput) -> Tensor:
        """Return how far the score is below the threshold plus MARGIN: (N,), at least 0."""
        return (self.threshold - output.score + MARGIN).clamp(min=0)


@torch.no_grad()
def nearest_wrong_outputs(
    guarded: GuardedModel, images: Tensor, labels: Tensor, rank: int = 0, batch_size: int = BATCH
) -> Tensor:
    """Return, on the CPU, the wrong output nearest to each image.

    Parameters
    ----------
    guarded : network and detector, on any device
    images, labels : (N, 3, H, W) in [0, 1] and (N,) true outputs, on the CPU
    rank : 0 for the nearest wrong output, 1 for the second nearest, and so on

    Returns
    -------
    (N,) indices of outputs.
    """
    device = device_of(guarded)
    logits = torch.cat(
        [guarded.target_logits(batch.to(device)).cpu() for batch in torch.split(images, batch_size)]
    )
    return logits.scatter(1, labels[:, None], -torch.inf).argsort(dim=1, descending=True)[:, rank]
