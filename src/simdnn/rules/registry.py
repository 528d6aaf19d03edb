"""All rules by name; add a new rule here."""

from __future__ import annotations

from collections.abc import Mapping

from simdnn.errors import InputError
from simdnn.rules.profile import ProfileRule
from simdnn.rules.profile_and_opinion import ProfileAndOpinionRule
from simdnn.rules.published import PublishedRule
from simdnn.rules.rule import Rule
from simdnn.rules.second_opinion_rule import SecondOpinionRule
from simdnn.rules.similarity import SimilarityRule

RULES: Mapping[str, type[Rule]] = {
    rule.name: rule
    for rule in (
        ProfileRule,
        ProfileAndOpinionRule,
        SecondOpinionRule,
        SimilarityRule,
        PublishedRule,
    )
}

REFERENCE = 1000
"""Largest number of images in :attr:`simdnn.rules.rule.LearnedImages.reference`."""

DRAWS: Mapping[str, int] = {"light": 8, "standard": 32, "full": 128}
"""Noisy draws of each image at each level: each costs one pass of the auxiliary network. The more there are, the finer
the share, and the nearer the share that an attack needs comes to the threshold."""


def default_rule(*, second_opinion: bool) -> str:
    """Return the name of the rule where none is asked for."""
    return ProfileAndOpinionRule.name if second_opinion else ProfileRule.name


def find_draws(level: str) -> int:
    """Return the draws of a level; InputError if there is none."""
    if level not in DRAWS:
        raise InputError(f"no level {level!r}; the levels are {', '.join(DRAWS)}")
    return DRAWS[level]


def find_rule(name: str) -> type[Rule]:
    """Return the rule of that name; InputError if there is none."""
    if name not in RULES:
        raise InputError(f"no rule {name!r}; the rules are {', '.join(RULES)}")
    return RULES[name]
