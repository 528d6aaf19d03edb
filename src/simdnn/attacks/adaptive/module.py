"""A network and its detector as one differentiable module, the target of adaptive attacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from simdnn.arrays import double
from simdnn.errors import InputError
from simdnn.guard.guard import Guard
from simdnn.images.shifts import Shift
from simdnn.networks.backbone import Backbone
from simdnn.networks.votes import count_votes, mean_posterior
from simdnn.rules.inputs import RuleInput, shares_of
from simdnn.rules.view_statistics import compare_views

_TINY = 1e-9


class GuardedOutput(NamedTuple):
    """The output of a guarded network for N images.

    Attributes
    ----------
    logits : (N, K) logits of the network
    parts : (N, P) scores of the detector's parts, high is clean; P = 1 for one without parts
    features : (N, d) features of the network, followed by the auxiliary network's mean posterior
    """

    logits: Tensor
    parts: Tensor
    features: Tensor

    @property
    def score(self) -> Tensor:
        """Score of the detector, (N,): the smallest of its parts."""
        return self.parts.amin(dim=1)


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

    def deployed(self, images: Tensor) -> GuardedOutput:
        """Return the output of network and detector as they are in use: what an attack's success is measured by."""
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
        self.secret_draws = guard.draws(self.rule)
        self.draws = draws
        self.noise = torch.Generator().manual_seed(seed)
        self.eval()

    def forward(self, images: Tensor, output: Tensor | None = None) -> GuardedOutput:
        """Return the output for images (N, 3, H, W) in [0, 1], differentiable; as :class:`GuardedModel`."""
        shares = images.new_zeros(len(images), 0)
        if self.auxiliary is not None:
            shares = mean_posterior(self.auxiliary, images, self.draws, self.noise)
        return self._output(images, shares, output)

    @torch.no_grad()
    def deployed(self, images: Tensor) -> GuardedOutput:
        """Return the output with the second opinion's votes under the guard's secret draws, as its verdicts have it."""
        shares = images.new_zeros(len(images), 0)
        if self.auxiliary is not None and self.secret_draws is not None:
            votes = count_votes(self.auxiliary, images, self.secret_draws)
            shares = torch.from_numpy(shares_of(votes)).to(images.device)
        return self._output(images, shares, None)

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

    def _output(self, images: Tensor, shares: Tensor, output: Tensor | None) -> GuardedOutput:
        passed = self.backbone(torch.cat([images, *(view(images) for view in self.views)]))
        features = _by_view(torch.cat(list(passed.features.values()), dim=1), len(images))
        logits = _by_view(passed.logits, len(images))
        predictions = logits[:, 0].argmax(dim=1) if output is None else output
        views = None
        if self.views:
            views = compare_views(features[:, 0], features[:, 1:], logits[:, 0], logits[:, 1:], predictions)
        similarities = self.rule.model.similarities(features[:, 0])
        inputs = RuleInput(features[:, 0], logits[:, 0], predictions, similarities, shares, views)
        parts = [double(part) for part in self.rule.parts_of_score(inputs)]
        return GuardedOutput(
            logits[:, 0], torch.stack(parts, dim=1), torch.cat([features[:, 0], shares], dim=1)
        )


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
        return GuardedOutput(passed.logits, scores[:, None], features)

    def target_logits(self, images: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.backbone(images).logits
        return logits

    @torch.no_grad()
    def deployed(self, images: Tensor) -> GuardedOutput:
        """Return the output."""
        found: GuardedOutput = self(images)
        return found


class Rejecting(nn.Module):
    """A guarded network as a plain classifier with one more class, which is predicted where the detector flags.

    Parameters
    ----------
    guarded : network and detector
    """

    def __init__(self, guarded: GuardedModel) -> None:
        super().__init__()
        self.guarded = guarded
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K + 1) of images (N, 3, H, W) in [0, 1]."""
        output = self.guarded(images)
        return torch.cat([output.logits, rejection_logit(output, self.guarded.threshold)[:, None]], dim=1)


def rejection_logit(output: GuardedOutput, threshold: float) -> Tensor:
    """Return ``max logit + threshold - score``, (N,), the largest logit if flagged (Carlini and Wagner, AISec 2017)."""
    return output.logits.amax(dim=1) + (threshold - output.score).to(output.logits.dtype)
