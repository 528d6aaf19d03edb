"""Attacks on a network and its detector at once: the image must be answered wrongly and not be flagged.

All are targeted: an attacker who must please a detector too does best to aim at the nearest wrong class and to go for
one consistent picture of it. Each gives a slope; :func:`attack_aware` walks along it within a ball, and remembers the
iterate that fooled the network with the highest score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from simdnn.attacks.adaptive.module import Answered, Guarded
from simdnn.errors import InputError
from simdnn.progress import Progress

BATCH = 8
"""Images attacked together, each with its views: more take longer each on a CPU, whose cache does not hold them."""

MARGIN = 0.1
"""How far beyond the boundary, in logits and in score, an attack wants to end."""


@dataclass(frozen=True)
class Goal:
    """What the attacker of a batch wants.

    Attributes
    ----------
    targets : (N,) outputs that the network is to answer
    threshold : the score that is to be reached
    guides : (N, d) features of clean images of the targets' classes, for feature matching
    """

    targets: Tensor
    threshold: float
    guides: Tensor | None = None

    def fooled(self, answered: Answered) -> Tensor:
        """Return for which images the network answers the target: (N,)."""
        return answered.logits.argmax(dim=1) == self.targets

    def label_loss(self, answered: Answered) -> Tensor:
        """Return how far the target is behind the largest other logit, and by Sim-DNN's label: (N,), at least 0."""
        given = self.targets[:, None]
        others = answered.logits.scatter(1, given, -torch.inf).amax(dim=1)
        network = (others - answered.logits.gather(1, given)[:, 0] + MARGIN).clamp(min=0)
        return network + (answered.label_lag + MARGIN).clamp(min=0).to(network.dtype)

    def detector_loss(self, answered: Answered) -> Tensor:
        """Return how far the score is under the threshold, and MARGIN: (N,), at least 0."""
        return (self.threshold - answered.score + MARGIN).clamp(min=0)


class AwareAttack(Protocol):
    """Turns an answer to images with a gradient into a slope to go down."""

    def slope(self, answered: Answered, images: Tensor, goal: Goal) -> Tensor:
        """Return the slope (N, 3, H, W)."""
        ...


@dataclass(frozen=True)
class Joint:
    """The sum of both losses, the detector's weighted (Carlini and Wagner, AISec 2017)."""

    weight: float = 1.0

    def slope(self, answered: Answered, images: Tensor, goal: Goal) -> Tensor:
        """Return the slope of the sum."""
        return _slope(
            goal.label_loss(answered) + self.weight * goal.detector_loss(answered).to(answered.logits.dtype),
            images,
        )


@dataclass(frozen=True)
class Selective:
    """The label's loss until the network is fooled, then the detector's (Bryniarski and others, ICLR 2022)."""

    def slope(self, answered: Answered, images: Tensor, goal: Goal) -> Tensor:
        """Return, for each image, the slope of the loss that is due."""
        due = goal.label_loss(answered)
        then = goal.detector_loss(answered).to(due.dtype)
        return _slope(torch.where(due > 0, due, then), images)


@dataclass(frozen=True)
class Orthogonal:
    """As :class:`Selective`, less the part of each slope that lies along the other (the same paper)."""

    def slope(self, answered: Answered, images: Tensor, goal: Goal) -> Tensor:
        """Return the slope of the loss that is due, orthogonal to that of the other."""
        due = goal.label_loss(answered)
        label = _slope(due, images, keep=True)
        detector = _slope(goal.detector_loss(answered), images)
        first = (due > 0)[:, None, None, None]
        wanted, other = torch.where(first, label, detector), torch.where(first, detector, label)
        along = other / length_of(other)
        return wanted - (wanted * along).sum(dim=(1, 2, 3), keepdim=True) * along


@dataclass(frozen=True)
class Matching:
    """Draw the features, a witness's too, to those of a clean image of the target (Sabour and others, ICLR 2016)."""

    def slope(self, answered: Answered, images: Tensor, goal: Goal) -> Tensor:
        """Return the slope of the squared distance to the guides, relative to their length."""
        if goal.guides is None:
            raise InputError("feature matching needs clean images of the target classes as guides")
        length = goal.guides.square().sum(dim=1).clamp(min=1e-12)
        return _slope((answered.features - goal.guides).square().sum(dim=1) / length, images)


@dataclass(frozen=True)
class LabelOnly:
    """The network alone, whatever the detector says: what an attacker does who does not know of it."""

    def slope(self, answered: Answered, images: Tensor, goal: Goal) -> Tensor:
        """Return the slope of the label's loss."""
        return _slope(goal.label_loss(answered), images)


ATTACKS: Mapping[str, AwareAttack] = {
    "selective": Selective(),
    "orthogonal": Orthogonal(),
    "joint-0.1": Joint(0.1),
    "joint-1": Joint(1.0),
    "joint-10": Joint(10.0),
    "matching": Matching(),
}
"""Those that know of the detector, by the name that tables use."""


class Found(NamedTuple):
    """What an attack came to.

    Attributes
    ----------
    images : (N, 3, H, W): the iterate that fooled the network with the highest score; the clean image where none did
    score : (N,) that score; -inf where the network was never fooled
    curve : mean of the detector's loss and share of images fooled and unflagged so far, after each step
    """

    images: Tensor
    score: Tensor
    curve: list[tuple[float, float]]


def attack_aware(
    guarded: Guarded,
    attack: AwareAttack,
    images: Tensor,
    goal: Goal,
    *,
    eps: float,
    norm: str = "inf",
    steps: int = 40,
    seed: int = 0,
    batch_size: int = BATCH,
    progress: Progress | None = None,
) -> Found:
    """Attack images in a ball around them.

    An image that fools the network unflagged is done and takes no further steps.

    Parameters
    ----------
    guarded : network and detector
    attack : whose slope is followed
    images : (N, 3, H, W) in [0, 1]
    goal : targets, and guides where the attack needs them
    eps, norm : radius, in [0, 1] units: of each pixel (``"inf"``) or Euclidean (``"2"``)
    steps : from a random start; their length falls along a cosine from eps / 2 to 0
    seed : of the starts
    progress : called with (done, total) image steps
    """
    if norm not in ("inf", "2"):
        raise InputError(f"the norm is 'inf' or '2'; got {norm!r}")
    draw = torch.Generator().manual_seed(seed)
    best, score = images.clone(), torch.full((len(images),), -torch.inf, dtype=torch.float64)
    losses, passed = torch.zeros(steps), torch.zeros(steps)
    for start in range(0, len(images), batch_size):
        rows = torch.arange(start, min(start + batch_size, len(images)))
        clean = images[rows]
        change = _start(clean, eps, norm, draw)
        going = torch.arange(len(rows))
        for step in range(steps):
            if not len(going):
                passed[step:] += len(rows)
                break
            at = (clean[going] + change[going]).clamp(0, 1).requires_grad_(True)
            aim = replace(
                goal,
                targets=goal.targets[rows[going]],
                guides=None if goal.guides is None else goal.guides[rows[going]],
            )
            answered = guarded(at, aim.targets)
            slope = attack.slope(answered, at, aim)
            better = aim.fooled(answered) & (answered.score.detach() > score[rows[going]])
            if better.any():
                hits = rows[going[better]]
                best[hits], score[hits] = at.detach()[better], answered.score.detach().double()[better]
            losses[step] += float(aim.detector_loss(answered).detach().sum())
            done = score[rows[going]] >= goal.threshold
            passed[step] += len(rows) - len(going) + int(done.sum())
            rate = eps / 2 * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * step / steps)))
            moved = _moved(change[going], slope, float(rate), eps, norm)
            change[going] = (clean[going] + moved).clamp(0, 1) - clean[going]
            going = going[~done]
            if progress is not None:
                progress(start * steps + len(rows) * (step + 1), len(images) * steps)
    curve = [(float(a) / len(images), float(b) / len(images)) for a, b in zip(losses, passed, strict=True)]
    return Found(best, score, curve)


def nearest_wrong(
    guarded: Guarded, images: Tensor, truth: Tensor, rank: int = 0, batch_size: int = BATCH
) -> Tensor:
    """Return the wrong output that is nearest to each image, (N,), or the one ``rank`` places behind it."""
    with torch.no_grad():
        near = torch.cat([guarded.nearness(batch) for batch in torch.split(images, batch_size)])
    return near.scatter(1, truth[:, None], -torch.inf).argsort(dim=1, descending=True)[:, rank]


def _slope(loss: Tensor, images: Tensor, *, keep: bool = False) -> Tensor:
    (slope,) = torch.autograd.grad(loss.sum(), images, retain_graph=keep)
    return slope


def _start(images: Tensor, eps: float, norm: str, draw: torch.Generator) -> Tensor:
    noise = torch.rand(images.shape, generator=draw) * 2 - 1
    if norm == "inf":
        return noise * eps / 2
    return noise / length_of(noise) * eps / 2


def _moved(change: Tensor, slope: Tensor, rate: float, eps: float, norm: str) -> Tensor:
    if norm == "inf":
        return (change - rate * slope.sign()).clamp(-eps, eps)
    moved = change - rate * slope / length_of(slope)
    return moved * (eps / length_of(moved)).clamp(max=1)


def length_of(images: Tensor) -> Tensor:
    """Return the Euclidean norm of each image, (N, 1, 1, 1), never quite 0."""
    length: Tensor = torch.linalg.vector_norm(images, dim=(1, 2, 3), keepdim=True)
    return length.clamp(min=1e-20)
