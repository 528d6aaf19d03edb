"""The rule ``"second-opinion"``: whether an auxiliary network under noise agrees; it bears a certificate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import Array
from simdnn.rules.inputs import RuleInput
from simdnn.rules.rule import LearnedImages, Rule, State
from simdnn.rules.second_opinion import SecondOpinion


class SecondOpinionRule(Rule):
    """Score by the share of noisy draws that agree with the protected network.

    Attributes
    ----------
    opinion : which outputs agree
    """

    name: ClassVar[str] = "second-opinion"
    uses_auxiliary: ClassVar[bool] = True
    opinion: SecondOpinion

    def learn(self, images: LearnedImages) -> None:
        """Learn what the outputs stand for."""
        self.opinion = SecondOpinion.learn(images.labels, images.logits, images.auxiliary_classes)

    def score(self, inputs: RuleInput) -> Array:
        """Return the share, 0 to 1."""
        return self.opinion.of(inputs)

    def votes_needed(self, offset: float, draws: int) -> int:
        """Return the smallest number of votes whose share is at least the offset."""
        return int(np.searchsorted(np.arange(draws + 1) / draws, offset))

    def state(self) -> State:
        """Return what the outputs stand for."""
        return {"opinion": self.opinion.as_dict()}, {}

    def restore(self, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Take the state back."""
        del arrays
        calibration = self.calibration
        self.opinion = SecondOpinion.restore(
            header["opinion"], calibration.logits.shape[1], calibration.votes.shape[1]
        )
        return self
