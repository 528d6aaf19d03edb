"""A network and its detector as one differentiable module, the target of adaptive attacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from simdnn.errors import InputError
from simdnn.guard.guard import Guard
from simdnn.images.shifts import Shift
from simdnn.networks.backbone import Backbone
from simdnn.networks.votes import mean_posterior
from simdnn.rules.inputs import RuleInput
from simdnn.rules.view_statistics import compare_views

_TINY = 1e-9


class GuardedOutput(NamedTuple):
    """The output of a guarded network for N images.

    Attributes
    ----------
    logits : (N, K) logits of the network
    score : (N,) score of the detector; high is clean
    features : (N, d) features of the network, followed by the auxiliary network's mean posterior
    """

    logits: Tensor
    score: Tensor
    features: Tensor


class GuardedModel(Protocol):
    """A network with a detector, the target of adaptive attacks.

    Attributes
    ----------
    threshold : an image is flagged if its score is below
    """

    threshold: float

    def __call__(self, images: Tensor, output: Tensor | None = None) -> GuardedOutput:
        """Return logits, scores and features of images (N, 3, H, W) in [0, 1], on the model's device.

        With ``output`` (N,), the score is computed as if the network predicted these outputs, so that it has a gradient
        towards a target before the network predicts it.
        """
        ...

    def target_logits(self, images: Tensor) -> Tensor:
        """Return (N, K) logits for the choice of the target: the wrong output with the largest one."""
        ...


class GuardedNetwork(nn.Module):
    """A guard with its network, views and auxiliary network as one module.

    The score is computed by the guard's rule itself, on tensors instead of arrays. An attacker does not know the secret
    draws of the second opinion: in place of the share of votes stands the mean posterior over fresh draws (expectation
    over transformation: Athalye and others, "Synthesizing robust adversarial examples", ICML 2018).

    Parameters
    ----------
    guard : a fitted guard
    rule : name of one of its rules; by default the guard's rule
    views : replace the guard's views, for an attacker who does not know them
    draws : fresh noisy draws of the auxiliary network in each step
    seed : of these draws

    Raises
    ------
    InputError
        If there is no such rule, or the guard has several networks besides an auxiliary one.
    """

    def __init__(
        self,
        guard: Guard,
        rule: str | None = None,
        views: Sequence[Shift] | None = None,
        draws: int = 8,
        seed: int = 0,
    ) -> None:
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
        self.draws = draws
        self.noise = torch.Generator().manual_seed(seed)
        self.eval()

    def forward(self, images: Tensor, output: Tensor | None = None) -> GuardedOutput:
        """Return the output for images (N, 3, H, W) in [0, 1], differentiable; as :class:`GuardedModel`."""
        passed = self.backbone(torch.cat([images, *(view(images) for view in self.views)]))
        features = _by_view(torch.cat(list(passed.features.values()), dim=1), len(images))
        logits = _by_view(passed.logits, len(images))
        predictions = logits[:, 0].argmax(dim=1) if output is None else output
        posterior = images.new_zeros(len(images), 0)
        if self.auxiliary is not None:
            posterior = mean_posterior(self.auxiliary, images, self.draws, self.noise)
        views = None
        if self.views:
            views = compare_views(features[:, 0], features[:, 1:], logits[:, 0], logits[:, 1:], predictions)
        similarities = self.rule.model.similarities(features[:, 0])
        inputs = RuleInput(features[:, 0], logits[:, 0], predictions, similarities, posterior, views)
        score: Tensor = self.rule.score(inputs)
        return GuardedOutput(logits[:, 0], score, torch.cat([features[:, 0], posterior], dim=1))

    def target_logits(self, images: Tensor) -> Tensor:
        """Return the network's logits; with a second opinion the logarithms of the shares of the outputs' classes.

        They are -inf for outputs that stand for no class.
        """
        logits: Tensor = self.backbone(images).logits
        opinion = self.rule.opinion
        if self.auxiliary is None or opinion is None:
            return logits
        posterior = mean_posterior(self.auxiliary, images, self.draws, self.noise)
        found = torch.full_like(logits, -torch.inf)
        found[:, list(opinion.outputs)] = posterior[:, list(opinion.columns)].clamp(min=_TINY).log()
        return found


def _by_view(values: Tensor, n: int) -> Tensor:
    """Reshape ((1 + V) * n, d), ordered by view, to (n, 1 + V, d)."""
    return values.reshape(-1, n, values.shape[1]).transpose(0, 1)


class BaselineNetwork(nn.Module):
    """A network with a baseline detector, which scores its logits and penultimate features.

    Parameters
    ----------
    backbone : the network; its features are those of its penultimate layer
    score : from logits (N, K) and features (N, d) to scores (N,), high for clean; differentiable
    threshold : an image is flagged if its score is below
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
        passed = self.backbone(images)
        features = torch.cat(list(passed.features.values()), dim=1)
        logits = passed.logits
        if output is not None:  # raise the logit of the assumed output to the largest
            logits = logits.scatter(1, output[:, None], logits.amax(dim=1, keepdim=True))
        scores = self.score(logits, features)
        return GuardedOutput(passed.logits, scores, features)

    def target_logits(self, images: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.backbone(images).logits
        return logits


class Rejecting(nn.Module):
    """A guarded network as a plain classifier with one more class, which is predicted where the detector flags.

    The additional logit is ``max logit + (threshold - score) * steepness`` (Carlini and Wagner, AISec 2017).

    Parameters
    ----------
    guarded : network and detector
    steepness : weight of the score, > 0
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
