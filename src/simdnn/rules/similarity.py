"""The rule ``"similarity"``: similarity to the nearest prototype, in one pass of the network."""

from __future__ import annotations

from typing import ClassVar

from simdnn.arrays import Array
from simdnn.paper.scores import similarity_score
from simdnn.rules.inputs import RuleInput
from simdnn.rules.rule import Rule


class SimilarityRule(Rule):
    """Score by eq. (10)."""

    name: ClassVar[str] = "similarity"

    def score(self, inputs: RuleInput) -> Array:
        """Return (N,) the similarity to the most similar prototype, in [0, 1]."""
        return similarity_score(inputs.similarities)
