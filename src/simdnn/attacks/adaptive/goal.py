"""The goal of an attack on a guarded network: a target class, and a score that is not flagged."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor

from simdnn.attacks.adaptive.module import GuardedModel, GuardedOutput
from simdnn.networks.device import device_of

BATCH = 8
"""Number of images attacked together, each with its views; larger batches exceed a CPU's cache and are slower."""

MARGIN = 0.1
"""Margin beyond the decision boundary and beyond the threshold that an attack aims at, in logits and in score."""


@dataclass(frozen=True)
class Goal:
    """Goal of an attack on N images.

    Attributes
    ----------
    targets : (N,) outputs that the network is to predict
    threshold : the score to reach: an image is flagged if its score is below
    guides : (N, d) features of clean images of the targets' classes, for feature matching
    margin : beyond the threshold that the attack aims at, () for all images or (N,) for each
    """

    targets: Tensor
    threshold: float
    guides: Tensor | None = None
    margin: Tensor = field(default_factory=lambda: torch.tensor(MARGIN, dtype=torch.float64))

    def rows(self, rows: Tensor, device: torch.device) -> Self:
        """Return the goal of some of the images, (n,) indices, on a device."""
        guides = None if self.guides is None else self.guides[rows].to(device)
        margin = self.margin.expand(len(self.targets))[rows].to(device)
        return replace(self, targets=self.targets[rows].to(device), guides=guides, margin=margin)

    def misclassified(self, output: GuardedOutput) -> Tensor:
        """Return whether the network predicts the target, (N,) bool."""
        return output.logits.argmax(dim=1) == self.targets

    def confirm(self, guarded: GuardedModel, images: Tensor, output: GuardedOutput) -> tuple[Tensor, Tensor]:
        """Confirm apparent successes with network and detector in use: the score of an output may be an estimate.

        Parameters
        ----------
        guarded : network and detector
        images : (N, 3, H, W) the iterates, of one batch
        output : its output for them

        Returns
        -------
        The scores, (N,) float64, of the apparent successes as they are in use; and the margins, (N,), that the next
        step is to aim at: larger where a success was only apparent.
        """
        scores = output.score.detach().double()
        margins = self.margin.expand(len(scores)).clone()
        (passed,) = torch.nonzero(self.misclassified(output) & (scores >= self.threshold), as_tuple=True)
        if len(passed):
            scores[passed] = guarded.deployed(images.detach()[passed]).score.double()
            margins[passed[scores[passed] < self.threshold]] += MARGIN
        return scores, margins

    def label_loss(self, output: GuardedOutput) -> Tensor:
        """Return (N,), at least 0: the hinge loss of the target against the largest other logit."""
        target = self.targets[:, None]
        others = output.logits.scatter(1, target, -torch.inf).amax(dim=1)
        return (others - output.logits.gather(1, target)[:, 0] + MARGIN).clamp(min=0)

    def detector_loss(self, output: GuardedOutput) -> Tensor:
        """Return (N,), at least 0: the hinge loss of the score against the threshold plus the margin."""
        return self.part_losses(output).amax(dim=1)

    def part_losses(self, output: GuardedOutput) -> Tensor:
        """Return (N, P), at least 0: the same for the score of each of the detector's parts."""
        return (self.threshold + self.margin.reshape(-1, 1) - output.parts).clamp(min=0)


@torch.no_grad()
def nearest_wrong_outputs(
    guarded: GuardedModel, images: Tensor, labels: Tensor, rank: int = 0, batch_size: int = BATCH
) -> Tensor:
    """Return the wrong output with the largest logit for each image, on the CPU.

    Parameters
    ----------
    guarded : network and detector, on any device; its ``target_logits`` are used
    images, labels : (N, 3, H, W) in [0, 1] and (N,) true outputs, on the CPU
    rank : 0 for the wrong output with the largest logit, 1 for the second largest, and so on

    Returns
    -------
    (N,) indices of outputs.
    """
    device = device_of(guarded)
    logits = torch.cat(
        [guarded.target_logits(batch.to(device)).cpu() for batch in torch.split(images, batch_size)]
    )
    return logits.scatter(1, labels[:, None], -torch.inf).argsort(dim=1, descending=True)[:, rank]
