"""The sources of evidence of the profile rule, with their weights."""

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
    """Scales for the comparison with views: log sigma^2 of eq. (10), each the mean over clean images.

    Attributes
    ----------
    distance : mean of :attr:`simdnn.rules.view_statistics.ViewStatistics.feature_distance`
    spread : mean of :attr:`simdnn.rules.view_statistics.ViewStatistics.feature_spread`
    """

    distance: float
    spread: float


@dataclass(frozen=True)
class Measured:
    """Evidence of N images, before it is compared with that of clean images.

    Attributes
    ----------
    views : comparison with the views
    similarity : (N,) similarity to the most similar prototype, eq. (10)
    """

    views: ViewStatistics
    similarity: Array

    @classmethod
    def of(cls, inputs: RuleInput) -> Measured:
        """Collect the evidence of N images; ValueError if their input has no views."""
        if inputs.views is None:
            raise ValueError("the profile needs images with their views")
        return cls(inputs.views, similarity_score(inputs.similarities))


@dataclass(frozen=True)
class Source:
    """One source of evidence.

    Attributes
    ----------
    name : name in explanations
    weight : weight of its squared deviation in the score
    value : the measured value, (N,), high for an attack
    spread : the spread of the image's views, (N,), as a function of which the clean values are fitted; None where the
        value does not depend on it
    """

    name: str
    weight: float
    value: Callable[[Measured, Scales], Array]
    spread: Callable[[Measured, Scales], Array] | None = None


def _softplus(values: Array) -> Array:
    """Return ``-log S`` for S of eq. (10), from the logarithm of (squared distance / sigma^2)."""
    xp = namespace(values)
    return xp.logaddexp(xp.zeros_like(values), values)


def _prototype_distance(measured: Measured, _: Scales) -> Array:
    """Return the logarithm of (squared distance to the nearest prototype / sigma^2), from eq. (10)."""
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
    Source("prototypes", 0.49, _prototype_distance),
)
"""The sources, in this order: distance of the features to those of the views; change of the posterior in the views;
margin of the prediction in the views; margin of the prediction in the image itself; distance to the nearest prototype.
``docs/detection.md`` has the choice of the weights and the detection rates by source."""

BY_NAME: Mapping[str, Source] = {source.name: source for source in SOURCES}
"""Sources by name."""
