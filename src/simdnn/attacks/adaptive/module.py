"""A network and its detector as one differentiable module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from simdnn.arrays import index_like
from simdnn.errors import InputError
from simdnn.guard.guard import Guard
from simdnn.images.shifts import Shift
from simdnn.networks.backbone import Backbone
from simdnn.networks.extractor import auxiliary_logits
from simdnn.rules.auxiliary import OutputClasses
from simdnn.rules.inputs import RuleInput
from simdnn.rules.view_statistics import compare_views

_TINY = 1e-9


class Answered(NamedTuple):
    """What a guarded network says of N images.

    Attributes
    ----------
    logits : (N, K)
    score : (N,) high for clean
    features : (N, d) of the network, and the witness's logits behind them
    label_lag : (N,) how far the prototypes of the wanted answer's class are behind those of another, as a logarithm;
        -inf where it does not matter to the score
    """

    logits: Tensor
    score: Tensor
    features: Tensor
    label_lag: Tensor


class Guarded(Protocol):
    """A network with a detector: what attacks that know of it take.

    Attributes
    ----------
    threshold : an image is flagged if its score lies below
    """

    threshold: float

    def __call__(self, images: Tensor, answer: Tensor | None = None) -> Answered:
        """Answer images (N, 3, H, W) in [0, 1].

        With ``answer`` (N,), outputs of the network, the score is what it would be if the network and the guard had
        answered that: it has a slope towards an answer that has yet to be reached.
        """
        ...

    def nearness(self, images: Tensor) -> Tensor:
        """Return how near each output is to the images, (N, K): the attacker aims at the nearest wrong one."""
        ...


class GuardedNetwork(nn.Module):
    """A guard, with its network, its views and its auxiliary network, as one module.

    The score is the rule's own, on tensors instead of arrays.

    Parameters
    ----------
    guard : fitted
    rule : name of one of its rules; the guard's own if not given
    views : in place of the guard's own, for an attacker who does not know them

    Raises
    ------
    InputError
        If the guard has no such rule, or has several networks besides an auxiliary one.
    """

    def __init__(self, guard: Guard, rule: str | None = None, views: Sequence[Shift] | None = None) -> None:
        super().__init__()
        extractor = guard.extractor
        if len(extractor.backbones) > 1:
            raise InputError(
                f"expected a guard of one network, besides an auxiliary one; got {len(extractor.backbones)}"
            )
        self.rule = guard.rule_named(rule)
        self.backbone: Backbone = extractor.backbones[0]
        self.threshold = guard.threshold(rule)
        self.model_id = guard.model_id
        self.views = self.rule.views if views is None else tuple(views)
        self.auxiliary = extractor.auxiliary if self.rule.uses_auxiliary else None
        self.outputs: OutputClasses | None = getattr(self.rule, "outputs", None)
        self.eval()

    def forward(self, images: Tensor, answer: Tensor | None = None) -> Answered:
        """Answer images (N, 3, H, W) in [0, 1]; differentiable. For ``answer`` see :class:`Guarded`."""
        seen = self.backbone(torch.cat([images, *(view(images) for view in self.views)]))
        features = _by_view(torch.cat(list(seen.features.values()), dim=1), len(images))
        logits = _by_view(seen.logits, len(images))
        predictions = logits[:, 0].argmax(dim=1) if answer is None else answer
        auxiliary = images.new_zeros(len(images), 0)
        if self.auxiliary is not None:
            auxiliary = auxiliary_logits(self.auxiliary, images)
        views = None
        if self.views:
            views = compare_views(features[:, 0], features[:, 1:], logits[:, 0], logits[:, 1:], predictions)
        similarities = self.rule.model.similarities(features[:, 0])
        inputs = RuleInput(features[:, 0], logits[:, 0], predictions, similarities, auxiliary, views)
        score: Tensor = self.rule.score(inputs)
        lag = torch.full_like(score, -torch.inf)
        if self.outputs is not None:
            lag = self._label_lag(similarities, predictions)
        return Answered(logits[:, 0], score, torch.cat([features[:, 0], auxiliary], dim=1), lag)

    def nearness(self, images: Tensor) -> Tensor:
        """Return how near each output is: by the auxiliary network where there is one, else by the logits.

        Outputs whose class the auxiliary network does not know are farthest.
        """
        if self.auxiliary is None or self.outputs is None:
            logits: Tensor = self.backbone(images).logits
            return logits
        classes = self.outputs.of_classes(auxiliary_logits(self.auxiliary, images))
        known = index_like(self.outputs.columns(self.outputs.protected), classes)
        return torch.where(known >= 0, classes[:, known.clamp(min=0)], -torch.inf)

    def _label_lag(self, similarities: Tensor, predictions: Tensor) -> Tensor:
        """Return how far the class of each prediction is behind another, by the prototypes."""
        assert self.outputs is not None
        model = self.rule.model
        labels = model.prototypes.labels
        columns = [
            similarities[:, index_like(np.flatnonzero(labels == name), similarities)]
            for name in model.classes
        ]
        best = torch.stack([own.amax(dim=1) for own in columns], dim=1).clamp(_TINY, 1 - _TINY).logit()
        names = list(model.classes)
        places = [names.index(name) if name in names else -1 for name in self.outputs.protected]
        place = index_like(places, similarities)[predictions]
        given = place.clamp(min=0)[:, None]
        others = best.scatter(1, given, -torch.inf).amax(dim=1)
        return torch.where(place >= 0, others - best.gather(1, given)[:, 0], -torch.inf)


def _by_view(values: Tensor, n: int) -> Tensor:
    """((1 + V) * n, d) to (n, 1 + V, d)."""
    return values.reshape(-1, n, values.shape[1]).transpose(0, 1)


class PeerNetwork(nn.Module):
    """A network beside a score of its logits and penultimate features, as a peer of Sim-DNN computes it.

    Parameters
    ----------
    backbone : the network, watched at its penultimate layer
    score : (logits (N, K), features (N, d)) to (N,) scores, high for clean, differentiable
    threshold : flagged is what lies below
    """

    def __init__(
        self, backbone: Backbone, score: Callable[[Tensor, Tensor], Tensor], threshold: float
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.own_score = score
        self.threshold = threshold
        self.eval()

    def forward(self, images: Tensor, answer: Tensor | None = None) -> Answered:
        """Answer images (N, 3, H, W) in [0, 1]; differentiable. For ``answer`` see :class:`Guarded`."""
        seen = self.backbone(images)
        features = torch.cat(list(seen.features.values()), dim=1)
        logits = seen.logits
        if answer is not None:  # as if that output were the largest
            logits = logits.scatter(1, answer[:, None], logits.amax(dim=1, keepdim=True))
        score = self.own_score(logits, features)
        return Answered(seen.logits, score, features, torch.full_like(score, -torch.inf))

    def nearness(self, images: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.backbone(images).logits
        return logits


class Rejecting(nn.Module):
    """A guarded network for libraries that know logits only: one more class, which wins where the detector flags.

    The last output is ``max logit + (threshold - score) * steepness``; so Carlini and Wagner (AISec 2017) attack
    detectors.
    """

    def __init__(self, guarded: Guarded, steepness: float = 1.0) -> None:
        super().__init__()
        self.guarded = guarded
        self.steepness = steepness
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K + 1) of images (N, 3, H, W) in [0, 1]."""
        logits, score, *_ = self.guarded(images)
        flagged = logits.amax(dim=1) + (self.guarded.threshold - score).to(logits.dtype) * self.steepness
        return torch.cat([logits, flagged[:, None]], dim=1)
