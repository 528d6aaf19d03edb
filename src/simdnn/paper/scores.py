"""The two scores that need only the similarities to the prototypes; high is clean."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from simdnn.arrays import Array, namespace
from simdnn.errors import InputError
from simdnn.paper.equations import relative_similarity


def published_score(similarities: Array) -> Array:
    """Score of the paper, the largest lambda of eq. (9): (N, M) similarities to (N,) scores in [1 / M, 1].

    It is low for *ambiguous* images; a strong attack need not be ambiguous.
    """
    return similarity_score(relative_similarity(similarities))


def similarity_score(similarities: Array) -> Array:
    """Similarity to the most similar prototype, eq. (10): (N, M) similarities to (N,) scores in [0, 1]."""
    return namespace(similarities).max(similarities, axis=1)


SCORES: Mapping[str, Callable[[Array], Array]] = {
    "published": published_score,
    "similarity": similarity_score,
}
"""Scores by the name of their rule."""


def score(rule: str, similarities: Array) -> Array:
    """Score (N, M) similarities by a rule: (N,), high is clean; InputError if there is no such rule."""
    if rule not in SCORES:
        raise InputError(f"no rule {rule!r}; the rules are {', '.join(SCORES)}")
    return SCORES[rule](similarities)
