"""What a rule looks at: one score for each image, high for clean."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from simdnn.arrays import FloatArray
from simdnn.errors import InputError
from simdnn.paper.equations import relative_similarity


def published(similarities: FloatArray) -> FloatArray:
    """Score of the paper: the winning lambda, eq. (9); (N, M) similarities to (N,) scores in [1 / M, 1].

    It measures how *unambiguous* an image is, and a strong attack is not ambiguous.
    """
    return winner(relative_similarity(similarities))


def winner(similarities: FloatArray) -> FloatArray:
    """Similarity to the most similar prototype, eq. (10); (N, M) similarities to (N,) scores in [0, 1]."""
    best: FloatArray = similarities.max(axis=1)
    return best


RULES: Mapping[str, Callable[[FloatArray], FloatArray]] = {"published": published, "similarity": winner}


def score(rule: str, similarities: FloatArray) -> FloatArray:
    """Score (N, M) similarities by the rule of that name."""
    if rule not in RULES:
        raise InputError(f"no rule {rule!r}; the rules are {', '.join(RULES)}")
    return RULES[rule](similarities)
