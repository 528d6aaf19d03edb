"""All rules by name; add a new rule here."""

from __future__ import annotations

from collections.abc import Mapping

from simdnn.errors import InputError
from simdnn.rules.profile import ProfileRule
from simdnn.rules.published import PublishedRule
from simdnn.rules.rule import Rule
from simdnn.rules.similarity import SimilarityRule

RULES: Mapping[str, type[Rule]] = {
    rule.name: rule
    for rule in (
        ProfileRule,
        SimilarityRule,
        PublishedRule,
    )
}

REFERENCE = 1000
"""Largest number of images in :attr:`simdnn.rules.rule.LearnedImages.reference`."""


def find_rule(name: str) -> type[Rule]:
    """Return the rule of that name; InputError if there is none."""
    if name not in RULES:
        raise InputError(f"no rule {name!r}; the rules are {', '.join(RULES)}")
    return RULES[name]
