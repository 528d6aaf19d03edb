"""A network and its detector as one differentiable module.

The guard's score, which :mod:`simdnn.rules` computes with NumPy, is computed here once more in PyTorch, since only so
it has a gradient; tests compare the two to 1e-5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from simdnn.errors import InputError
from simdnn.guard.guard import Guard
from simdnn.images.shifts import View
from simdnn.networks.backbone import Backbone
from simdnn.networks.extractor import witnessed
from simdnn.rules.auxiliary import Witness
from simdnn.rules.profile import GuardProfile
from simdnn.rules.statistics import LEAST_GAIN, LEAST_MARGIN, WEIGHTS

_TINY = 1e-9
_UNDER_ROOT = 1e-12
"""Added under a square root, whose gradient at 0 is infinite."""


class GuardedOutput(NamedTuple):
    """The output of a guarded network for N images.

    Attributes
    ----------
    logits : (N, K)
    score : (N,) high for clean
    features : (N, d) of the network, followed by the auxiliary network's logits
    label_gap : (N,) log-odds of the similarity to the most similar prototype of another class, less that of the assumed
        output's class; -inf where the score does not depend on it
    """

    logits: Tensor
    score: Tensor
    features: Tensor
    label_gap: Tensor


class GuardedModel(Protocol):
    """A network with a detector, the target of adaptive attacks.

    Attributes
    ----------
    threshold : an image is flagged if its score lies below
    """

    threshold: float

    def __call__(self, images: Tensor, output: Tensor | None = None) -> GuardedOutput:
        """Return logits, scores and features of images (N, 3, H, W) in [0, 1], on the model's device.

        With ``output`` (N,), indices of outputs, the score is computed as if the network had predicted those: it has a
        gradient towards an output that is not yet reached.
        """
        ...

    def target_logits(self, images: Tensor) -> Tensor:
        """Return (N, K) logits for the choice of a target: the attack targets the wrong output with the largest."""
        ...


class Prototypes(nn.Module):
    """Eq. (10) to all prototypes: raw features (N, d) to similarities (N, M)."""

    scale: Tensor
    shift: Tensor
    vectors: Tensor
    variances: Tensor

    def __init__(self, part: Guard) -> None:
        super().__init__()
        prototypes = part.model.prototypes_
        constants = {
            "scale": part.scaler.scale_,
            "shift": part.scaler.min_,
            "vectors": prototypes.vectors,
            "variances": prototypes.variances,
        }
        for name, values in constants.items():
            self.register_buffer(name, torch.from_numpy(np.array(values, dtype=np.float64)))
        self.labels = prototypes.labels
        self.classes = [str(label) for label in part.model.classes_]

    def forward(self, features: Tensor) -> Tensor:
        """Return the similarities."""
        scaled = features.double() * self.scale + self.shift
        squared = ((scaled[:, None] - self.vectors) ** 2).sum(dim=2)
        return 1 / (1 + squared / self.variances)

    def of_classes(self, similarities: Tensor) -> Tensor:
        """Return the similarity to the most similar prototype of each class: (N, C)."""
        columns = [similarities[:, torch.from_numpy(self.labels == name)] for name in self.classes]
        return torch.stack([own.amax(dim=1) for own in columns], dim=1)


class GuardedNetwork(nn.Module):
    """A guard, with its network, its views and its auxiliary network, as one module.

    Parameters
    ----------
    guard : fitted
    rule : ``"profile"``, ``"similarity"`` or ``"published"``; the guard's own if not given
    views : in place of the guard's own, for an attacker who does not know them

    Raises
    ------
    InputError
        If the guard has no such rule, or has several networks besides the auxiliary one.
    """

    def __init__(self, guard: Guard, rule: str | None = None, views: Sequence[View] | None = None) -> None:
        super().__init__()
        self.rule = rule or guard.rule
        if self.rule not in ("profile", "similarity", "published"):
            raise InputError(f"no rule {self.rule!r}; the rules are profile, similarity, published")
        if self.rule == "profile" and guard.profile is None:
            raise InputError(
                "this guard has no profile; fit it with the rule 'profile', or attack another rule"
            )
        if len(guard.extractor.backbones) > 1:
            raise InputError(
                f"expected a guard of one network, besides an auxiliary one; got {len(guard.extractor.backbones)}"
            )
        self.backbone: Backbone = guard.extractor.backbones[0]
        self.prototypes = Prototypes(guard)
        self.threshold = guard.threshold(self.rule)
        self.model_id = guard.model_id
        self.profile = guard.profile if self.rule == "profile" else None
        self.views = tuple(views) if views is not None else self.profile.views if self.profile else ()
        self.witness = None
        if self.profile and self.profile.witness:
            assert guard.extractor.witness is not None
            self.witness = _Witness(self.profile.witness, guard.extractor.witness, self.prototypes)
        self.eval()

    def forward(self, images: Tensor, output: Tensor | None = None) -> GuardedOutput:
        """Return the output for images (N, 3, H, W) in [0, 1], differentiable; as :class:`GuardedModel`."""
        seen = self.backbone(torch.cat([images, *(view(images) for view in self.views)]))
        features = _by_view(torch.cat(list(seen.features.values()), dim=1), len(images))
        logits = _by_view(seen.logits, len(images))
        similarities = self.prototypes(features[0])
        nearest, own = similarities.amax(dim=1), features[0]
        gap = torch.full_like(nearest, -torch.inf)
        if self.profile:
            top = logits[0].argmax(dim=1) if output is None else output
            columns = _compared(features.transpose(0, 1).double(), logits.transpose(0, 1).double(), top)
            doubt = None
            if self.witness:
                own_logits = self.witness.logits(images)
                doubt = self.witness(own_logits, top, similarities.argmax(dim=1))
                gap = self.witness.label_gap(self.prototypes, similarities, top)
                own = torch.cat([own, own_logits], dim=1)
            score = _profile_score(self.profile, columns, nearest, doubt)
        else:
            score = nearest if self.rule == "similarity" else nearest / similarities.sum(dim=1)
        return GuardedOutput(logits[0], score, own, gap)

    def target_logits(self, images: Tensor) -> Tensor:
        """Return the auxiliary network's logits of the outputs' classes; without one, the network's logits."""
        if self.witness:
            return self.witness.target_logits(images)
        logits: Tensor = self.backbone(images).logits
        return logits


class _Witness(nn.Module):
    """The auxiliary network's disagreement with the outputs, :func:`simdnn.rules.disagreement.disagreement`."""

    def __init__(self, learned: Witness, network: Backbone, answering: Prototypes) -> None:
        super().__init__()
        self.network = network
        self.usual, classes = learned.usual, learned.classes
        own = np.array(learned.own)
        self.outputs = [torch.from_numpy(own == name) for name in classes]
        places = {name: place for place, name in enumerate(classes)}
        self.of_labels = torch.tensor([places.get(str(name), -1) for name in answering.labels])
        self.of_outputs = torch.tensor([places.get(name, -1) for name in learned.usual])

    def logits(self, images: Tensor) -> Tensor:
        """Return its logits (N, w)."""
        return witnessed(self.network, images)

    def of_classes(self, logits: Tensor) -> Tensor:
        """Return the largest logit among the outputs that stand for each class: (N, C)."""
        return torch.stack([logits[:, own].amax(dim=1) for own in self.outputs], dim=1)

    def target_logits(self, images: Tensor) -> Tensor:
        """Return its logit of the class that each output stands for; outputs without a class are farthest."""
        logits = self.of_classes(self.logits(images))
        return torch.where(self.of_outputs >= 0, logits[:, self.of_outputs.clamp(min=0)], -torch.inf)

    def label_gap(self, prototypes: Prototypes, similarities: Tensor, output: Tensor) -> Tensor:
        """Return how far the class of an output is behind another, by the prototypes of the protected network."""
        classes = prototypes.of_classes(similarities).clamp(_TINY, 1 - _TINY).logit()
        places = [prototypes.classes.index(name) if name in prototypes.classes else -1 for name in self.usual]
        place = torch.tensor(places)[output]
        given = place.clamp(min=0)[:, None]
        others = classes.scatter(1, given, -torch.inf).amax(dim=1)
        return torch.where(place >= 0, others - classes.gather(1, given)[:, 0], -torch.inf)

    def forward(self, logits: Tensor, output: Tensor, nearest: Tensor) -> Tensor:
        """Return the disagreement with outputs (N,) and with the labels of the ``nearest`` prototypes (N,)."""
        classes = self.of_classes(logits.double()).softmax(dim=1)
        found = []
        for answer in (self.of_outputs[output], self.of_labels[nearest]):
            given = answer.clamp(min=0)[:, None]
            others = classes.scatter(1, given, -torch.inf).amax(dim=1)
            found.append(torch.where(answer >= 0, others - classes.gather(1, given)[:, 0], -torch.inf))
        worst = torch.maximum(*found)
        return torch.where(worst.isfinite(), worst, 0.0)


def _by_view(values: Tensor, n: int) -> Tensor:
    """((1 + V) * n, d) to (1 + V, n, d)."""
    return values.reshape(-1, n, values.shape[1])


def _compared(features: Tensor, logits: Tensor, top: Tensor) -> Tensor:
    """:func:`simdnn.rules.statistics.compare_views`: (N, 1 + V, d) and (N, 1 + V, K) to (N, 6), for outputs ``top``."""
    directions = features / (features.norm(dim=-1, keepdim=True) + _TINY)
    apart = ((directions[:, 0] - directions[:, 1:].mean(dim=1)) ** 2).sum(dim=1)
    top = top[:, None]
    behind = logits - logits.gather(2, top[:, None].expand(-1, logits.shape[1], 1))
    in_views, own = behind[:, 1:].mean(dim=1), behind[:, 0]
    gain, lead, margin = (
        values.scatter(1, top, -torch.inf).amax(dim=1) for values in (in_views - own, in_views, own)
    )
    columns = (
        (apart + _TINY).log(),
        gain.clamp(min=LEAST_GAIN).log(),
        -lead,
        (-margin).clamp(min=LEAST_MARGIN).log(),
        _log_spread(directions[:, 1:]),
        _log_spread(logits[:, 1:]),
    )
    return torch.stack(columns, dim=1)


def _log_spread(views: Tensor) -> Tensor:
    count = views.shape[1]
    if count == 1:
        return torch.zeros(len(views), dtype=views.dtype)
    about_mean = ((views - views.mean(dim=1, keepdim=True)) ** 2).sum(dim=(1, 2))
    return (2 * about_mean / (count - 1) + _TINY).log()


def _profile_score(profile: GuardProfile, views: Tensor, similarity: Tensor, doubt: Tensor | None) -> Tensor:
    """:meth:`simdnn.rules.statistics.SimilarityProfile.score`."""
    clean = profile.clean
    scale = torch.from_numpy(np.asarray(clean.scale, dtype=np.float64))
    gap, spread = softplus(views[:, [0, 4]] - scale).T
    nearest = similarity.clamp(_TINY, 1 - _TINY)
    none = torch.zeros_like(gap)
    values = [gap, views[:, 1], -views[:, 2], -views[:, 3], (1 / nearest - 1).log()]
    spreads = [spread, views[:, 5], views[:, 5], none, none]
    if doubt is not None:
        values, spreads = [*values, doubt], [*spreads, none]
    slope, intercept, deviation = (
        torch.from_numpy(np.asarray(a, dtype=np.float64))
        for a in (clean.slope, clean.intercept, clean.deviation)
    )
    short = (torch.stack(values, dim=1) - slope * torch.stack(spreads, dim=1) - intercept) / deviation
    weights = torch.tensor(WEIGHTS[: len(values)], dtype=torch.float64)
    return -((short.clamp(min=0) ** 2 @ weights) + _UNDER_ROOT).sqrt()


class BaselineNetwork(nn.Module):
    """A network with a baseline detector, which scores its logits and penultimate features.

    Parameters
    ----------
    backbone : the network; its features are those of its penultimate layer
    score : (logits (N, K), features (N, d)) to (N,) scores, high for clean, differentiable
    threshold : an image is flagged if its score lies below
    """

    def __init__(
        self, backbone: Backbone, score: Callable[[Tensor, Tensor], Tensor], threshold: float
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.score = score
        self.threshold = threshold
        self.eval()

    def forward(self, images: Tensor, output: Tensor | None = None) -> GuardedOutput:
        """Return the output for images (N, 3, H, W) in [0, 1], differentiable; as :class:`GuardedModel`."""
        seen = self.backbone(images)
        features = torch.cat(list(seen.features.values()), dim=1)
        logits = seen.logits
        if output is not None:  # as if that output were the largest
            logits = logits.scatter(1, output[:, None], logits.amax(dim=1, keepdim=True))
        scores = self.score(logits, features)
        return GuardedOutput(seen.logits, scores, features, torch.full_like(scores, -torch.inf))

    def target_logits(self, images: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.backbone(images).logits
        return logits


class Rejecting(nn.Module):
    """A guarded network as a plain classifier with one more class, predicted where the detector flags.

    The last logit is ``max logit + (threshold - score) * steepness`` (Carlini and Wagner, AISec 2017). Attacks of any
    library can take it.
    """

    def __init__(self, guarded: GuardedModel, steepness: float = 1.0) -> None:
        super().__init__()
        self.guarded = guarded
        self.steepness = steepness
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K + 1) of images (N, 3, H, W) in [0, 1]."""
        logits, score, *_ = self.guarded(images)
        flagged = logits.amax(dim=1) + (self.guarded.threshold - score).to(logits.dtype) * self.steepness
        return torch.cat([logits, flagged[:, None]], dim=1)
