"""The rule ``"published"``: the paper's score and its recursive threshold."""

from __future__ import annotations

from typing import ClassVar

from simdnn.arrays import Array
from simdnn.conformal.threshold import Threshold
from simdnn.errors import InputError
from simdnn.paper.m_sigma import RecursiveThreshold
from simdnn.paper.scores import published_score
from simdnn.rules.inputs import RuleInput
from simdnn.rules.rule import Rule


class PublishedRule(Rule):
    """Score by the largest lambda, eq. (9); flag by the m-sigma rule, eqs. (11) and (12)."""

    name: ClassVar[str] = "published"

    def score(self, inputs: RuleInput) -> Array:
        """Return (N,) the largest lambda, in [1 / M, 1]."""
        return published_score(inputs.similarities)

    def threshold(self, *, alpha: float, m: float, per_class: bool = False) -> Threshold:
        """Return the recursive threshold, which guarantees no false-alarm rate and has no ``alpha``.

        Raises
        ------
        InputError
            If there are at most ``m ** 2`` calibration images, or ``per_class`` is set.
        """
        del alpha
        if per_class:
            raise InputError(
                "the published rule has one threshold, not one for each class; give another rule"
            )
        return RecursiveThreshold.of(self.calibration_scores()[self.calibration.clean], m)
