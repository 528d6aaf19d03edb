"""What the profile is made of: each source of evidence, its weight, and what it is measured against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from simdnn.arrays import Array, double, namespace
from simdnn.paper.scores import similarity_score
from simdnn.rules.inputs import RuleInput
from simdnn.rules.view_statistics import ViewStatistics

_TINY = 1e-9


@dataclass(frozen=True)
class Scales:
    """Logarithms of sigma^2 of eq. (10) for comparisons with views: geometric means over clean images.

    Attributes
    ----------
    distance : for the distance of the features to those of the views
    spread : for the views' distance from each other
    """

    distance: float
    spread: float


@dataclass(frozen=True)
class Measured:
    """One image's evidence before it is compared with that of clean images.

    Attributes
    ----------
    views : how it compares with its views
    similarity : (N,) to the most similar prototype, eq. (10)
    """

    views: ViewStatistics
    similarity: Array

    @classmethod
    def of(cls, inputs: RuleInput) -> Measured:
        """Collect the evidence of N images; ValueError if they were seen without views."""
        if inputs.views is None:
            raise ValueError("the profile needs images with their views")
        return cls(inputs.views, similarity_score(inputs.similarities))


@dataclass(frozen=True)
class Source:
    """One source of evidence.

    Attributes
    ----------
    name : as explanations show it
    weight : of its squared deviation in the score
    value : the measure, high for an attack
    spread : how far the image's views lie apart, which the value grows with on clean images; None where it does not
    """

    name: str
    weight: float
    value: Callable[[Measured, Scales], Array]
    spread: Callable[[Measured, Scales], Array] | None = None


def _softplus(values: Array) -> Array:
    """``-log S`` of eq. (10), from the logarithm of the squared distance over sigma^2."""
    xp = namespace(values)
    return xp.logaddexp(xp.zeros_like(values), values)


def _log_odds(measured: Measured, _: Scales) -> Array:
    """Logarithm of the squared distance behind eq. (10)."""
    xp = namespace(measured.similarity)
    nearest = xp.clip(double(measured.similarity), _TINY, 1 - _TINY)
    return xp.log(1 / nearest - 1)


SOURCES: tuple[Source, ...] = (
    Source(
        "features",
        1.0,
        lambda m, scales: _softplus(m.views.feature_distance - scales.distance),
        lambda m, scales: _softplus(m.views.feature_spread - scales.spread),
    ),
    Source("posterior", 1.0, lambda m, _: m.views.class_gain, lambda m, _: m.views.logit_spread),
    Source("label", 2.0, lambda m, _: -m.views.lead, lambda m, _: m.views.logit_spread),
    Source("margin", 0.5, lambda m, _: -m.views.margin),
    Source("prototypes", 0.49, _log_odds),
)
"""Agreement of the features with those of the views, of the posterior, how firmly the views keep the prediction, how
far it is from the decision boundary, and eq. (10). ``docs/detection.md`` tells how weights were chosen and what each
source is worth."""

BY_NAME: Mapping[str, Source] = {source.name: source for source in SOURCES}
