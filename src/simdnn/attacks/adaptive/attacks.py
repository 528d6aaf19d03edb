"""Adaptive attacks: the losses of network and detector combined into one gradient.

All are targeted: an attack that must also evade the detector is strongest with one fixed target, the nearest wrong
class. :func:`simdnn.attacks.adaptive.run.run_adaptive_attack` takes the steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from simdnn.attacks.adaptive.goal import Goal
from simdnn.attacks.adaptive.module import GuardedOutput
from simdnn.errors import InputError


class AdaptiveAttack(Protocol):
    """The descent direction of an attack on network and detector."""

    def gradient(self, output: GuardedOutput, images: Tensor, goal: Goal) -> Tensor:
        """Return (N, 3, H, W) the gradient of the attack's loss at ``images``, a leaf that requires gradients."""
        ...


@dataclass(frozen=True)
class Joint:
    """The sum of both losses, the detector's weighted (Carlini and Wagner, AISec 2017)."""

    weight: float = 1.0

    def gradient(self, output: GuardedOutput, images: Tensor, goal: Goal) -> Tensor:
        """Return the gradient of the sum."""
        label = goal.label_loss(output)
        return _gradient(label + self.weight * goal.detector_loss(output).to(label.dtype), images)


@dataclass(frozen=True)
class Selective:
    """The label's loss until the image is misclassified, then the detector's (Bryniarski and others, ICLR 2022)."""

    def gradient(self, output: GuardedOutput, images: Tensor, goal: Goal) -> Tensor:
        """Return, for each image, the gradient of the loss that is selected."""
        label = goal.label_loss(output)
        detector = goal.detector_loss(output).to(label.dtype)
        return _gradient(torch.where(label > 0, label, detector), images)


@dataclass(frozen=True)
class Orthogonal:
    """As :class:`Selective`, each gradient projected orthogonally to the other's (the same paper)."""

    def gradient(self, output: GuardedOutput, images: Tensor, goal: Goal) -> Tensor:
        """Return the gradient of the selected loss, less its component along the gradient of the other loss."""
        loss = goal.label_loss(output)
        label = _gradient(loss, images, retain_graph=True)
        detector = _gradient(goal.detector_loss(output), images)
        label_first = (loss > 0)[:, None, None, None]
        selected, other = torch.where(label_first, label, detector), torch.where(label_first, detector, label)
        direction = other / length_of(other)
        return selected - (selected * direction).sum(dim=(1, 2, 3), keepdim=True) * direction


@dataclass(frozen=True)
class Balanced:
    """The gradients of the label's loss and of each part of the detector, each scaled to norm 1, in sum.

    So none drowns the others, and an attack on the smaller of two scores does not go to and fro between them.
    """

    def gradient(self, output: GuardedOutput, images: Tensor, goal: Goal) -> Tensor:
        """Return the sum of the gradients of norm 1; a loss that is 0 adds nothing."""
        losses = [goal.label_loss(output), *goal.part_losses(output).unbind(dim=1)]
        total = torch.zeros_like(images)
        for left, loss in zip(reversed(range(len(losses))), losses, strict=True):
            gradient = _gradient(loss, images, retain_graph=left > 0)
            total = total + gradient / length_of(gradient)
        return total


@dataclass(frozen=True)
class FeatureMatching:
    """Match the features, an auxiliary network's as well, of a clean target image (Sabour and others, ICLR 2016)."""

    def gradient(self, output: GuardedOutput, images: Tensor, goal: Goal) -> Tensor:
        """Return the gradient of the squared distance to the guides, relative to their squared norm."""
        if goal.guides is None:
            raise InputError("feature matching needs clean images of the target classes as guides")
        squared_norm = goal.guides.square().sum(dim=1).clamp(min=1e-12)
        return _gradient((output.features - goal.guides).square().sum(dim=1) / squared_norm, images)


@dataclass(frozen=True)
class LabelOnly:
    """The label's loss alone: not adaptive, the attack of somebody who does not know that there is a detector."""

    def gradient(self, output: GuardedOutput, images: Tensor, goal: Goal) -> Tensor:
        """Return the gradient of the label's loss."""
        return _gradient(goal.label_loss(output), images)


FEATURE_MATCHING = "feature-matching"
ADAPTIVE_ATTACKS: Mapping[str, AdaptiveAttack] = {
    "balanced": Balanced(),
    "selective": Selective(),
    "orthogonal": Orthogonal(),
    "joint-0.1": Joint(0.1),
    "joint-1": Joint(1.0),
    "joint-10": Joint(10.0),
    FEATURE_MATCHING: FeatureMatching(),
}
"""Adaptive attacks by their names in tables and on the command line."""


def length_of(images: Tensor) -> Tensor:
    """Return the Euclidean norm of each image, (N, 1, 1, 1), at least 1e-20."""
    length: Tensor = torch.linalg.vector_norm(images, dim=(1, 2, 3), keepdim=True)
    return length.clamp(min=1e-20)


def _gradient(loss: Tensor, images: Tensor, *, retain_graph: bool = False) -> Tensor:
    (gradient,) = torch.autograd.grad(loss.sum(), images, retain_graph=retain_graph)
    return gradient
