"""The rule ``"profile+opinion"``, the default with a second opinion: flagged if the profile or the opinion is odd."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import Array, namespace
from simdnn.rules.inputs import RuleInput
from simdnn.rules.opinion_scale import OpinionScale
from simdnn.rules.profile import ProfileRule
from simdnn.rules.rule import LearnedImages, Rule, State
from simdnn.rules.second_opinion import SecondOpinion
from simdnn.rules.second_opinion_rule import SecondOpinionRule


class ProfileAndOpinionRule(ProfileRule):
    """Score by the smaller of the profile's score and the second opinion's, on one scale.

    Clean images calibrate the smaller of the two together, so that the promised false-alarm rate is the whole rule's.

    Attributes
    ----------
    opinion : which outputs of the networks agree
    scale : what a share of votes is worth on the profile's scale
    """

    name: ClassVar[str] = "profile+opinion"
    uses_auxiliary: ClassVar[bool] = True
    opinion: SecondOpinion
    scale: OpinionScale

    def learn(self, images: LearnedImages) -> None:
        """Learn the profile, what the outputs stand for, and what a share is worth."""
        super().learn(images)
        self.opinion = SecondOpinion.learn(images.labels, images.logits, images.auxiliary_classes)
        seen = images.reference
        shares = np.asarray(self.opinion.of(seen), dtype=np.float64)
        if images.unlearned is not None and images.unlearned.any():
            shares = shares[images.unlearned]
        self.scale = OpinionScale.learn(shares, np.asarray(super().score(seen), dtype=np.float64))

    def score(self, inputs: RuleInput) -> Array:
        """Return scores of at most 0, in standard deviations of clean images."""
        profile, opinion = self.parts_of_score(inputs)
        return namespace(profile).minimum(profile, opinion)

    def parts_of_score(self, inputs: RuleInput) -> tuple[Array, ...]:
        """Return the profile's score and the second opinion's."""
        return super().score(inputs), self.scale.value(self.opinion.of(inputs))

    def explain(self, inputs: RuleInput) -> list[dict[str, float]]:
        """Return each source's deviation from clean images, and the second opinion's on the same scale."""
        values = self.scale.value(self.opinion.of(inputs))
        return [
            found | {"second opinion": -float(value)}
            for found, value in zip(super().explain(inputs), values, strict=True)
        ]

    def votes_needed(self, offset: float, draws: int) -> int:
        """Return the smallest number of votes that the opinion alone does not put below the offset."""
        return int(np.searchsorted(self.scale.value(np.arange(draws + 1) / draws), offset))

    def part(self, name: str) -> Rule | None:
        """Return the profile alone, or the opinion alone."""
        if name == ProfileRule.name:
            profile = ProfileRule(self.model, self.calibration, self.views)
            profile.clean = self.clean
            return profile
        if name == SecondOpinionRule.name:
            alone = SecondOpinionRule(self.model, self.calibration)
            alone.opinion = self.opinion
            return alone
        return None

    def state(self) -> State:
        """Return what was learned."""
        header, arrays = super().state()
        return header | {"opinion": self.opinion.as_dict(), "scale": self.scale.as_dict()}, arrays

    def restore(self, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Take the state back."""
        super().restore(header, arrays)
        calibration = self.calibration
        self.opinion = SecondOpinion.restore(
            header["opinion"], calibration.logits.shape[1], calibration.votes.shape[1]
        )
        self.scale = OpinionScale.restore(header["scale"])
        return self
