"""What a rule is: a score for each image, high for clean, and a threshold that clean images set.

To add a rule, write one file with a subclass of :class:`Rule` that has a ``name`` and a ``score``, and enter it in
:mod:`simdnn.rules.registry`. Everything else has a default.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import Array, FloatArray
from simdnn.conformal.per_class import MondrianThreshold
from simdnn.conformal.split import ConformalThreshold
from simdnn.conformal.threshold import Threshold
from simdnn.images.shifts import Shift
from simdnn.paper.model import SimilarityModel
from simdnn.rules.calibration import CalibrationSet
from simdnn.rules.inputs import RuleInput
from simdnn.rules.second_opinion import SecondOpinion

State = tuple[dict[str, Any], dict[str, NDArray[Any]]]
"""What a rule learned, for the guard file: values ready for JSON, and arrays by name."""


@dataclass(frozen=True)
class LearnedImages:
    """The clean images that the prototypes were learned from, as a rule may learn from them.

    Attributes
    ----------
    labels : (N,) their classes
    logits : (N, K) of the protected network
    auxiliary_classes : names of the auxiliary network's outputs; empty without one
    reference : some of them, at most :data:`simdnn.rules.registry.REFERENCE`, with their views; none is an exemplar,
        whose distance to its prototype is no example of an image's
    """

    labels: NDArray[Any]
    logits: NDArray[np.float32]
    auxiliary_classes: tuple[str, ...]
    reference: RuleInput


class Rule(ABC):
    """Scores images; made of what was learned of clean ones.

    Parameters
    ----------
    model : prototypes; they may be edited at any time
    calibration : clean images that set the threshold
    views : harmless shifts of each image that the rule looks at, as :meth:`draw_views` drew them

    Attributes
    ----------
    name : what users call it
    learns_corruptions : whether harmlessly corrupted copies of calibration images calibrate as well
    uses_auxiliary : whether it looks at an auxiliary network under noise
    opinion : how it does; None for a rule that does not
    """

    name: ClassVar[str]
    learns_corruptions: ClassVar[bool] = False
    uses_auxiliary: ClassVar[bool] = False
    opinion: SecondOpinion | None = None

    def __init__(
        self, model: SimilarityModel, calibration: CalibrationSet, views: tuple[Shift, ...] = ()
    ) -> None:
        self.model = model
        self.calibration = calibration
        self.views = views

    @classmethod
    def draw_views(cls, level: str, seed: int) -> tuple[Shift, ...]:
        """Draw the views of one guard from the seed; none unless a rule says otherwise."""
        del level, seed
        return ()

    def learn(self, images: LearnedImages) -> None:
        """Learn what else the rule needs to know of clean images; nothing unless a rule says otherwise."""
        del images

    def votes_needed(self, offset: float, draws: int) -> int:
        """Return how many votes an image needs at least for a score of ``offset``, whatever else the rule looks at.

        A certificate rests on it. It is 0 for a rule without a second opinion, and draws + 1 where no number will do.
        """
        del offset, draws
        return 0

    def part(self, name: str) -> Rule | None:
        """Return the rule of that name that this one is made of; None if there is none."""
        del name
        return None

    @abstractmethod
    def score(self, inputs: RuleInput) -> Array:
        """Score N images: (N,), high is clean; in the array library of the inputs."""

    def calibration_scores(self) -> FloatArray:
        """Score the calibration images by the prototypes as they are now: (k,)."""
        scores: FloatArray = self.score(self.calibration.inputs(self.model))
        return scores

    def explain(self, inputs: RuleInput) -> list[dict[str, float]]:
        """Return, for each image, what its score is made of, by name; empty where the score is all there is."""
        return [{} for _ in inputs.predictions]

    def threshold(self, *, alpha: float, m: float, per_class: bool = False) -> Threshold:
        """Return the threshold that the calibration images set.

        Parameters
        ----------
        alpha : false-alarm rate that it promises
        m : deviations under the mean at which the published rule flags; of no use to others
        per_class : whether the promise is to hold within each class
        """
        del m
        inputs = self.calibration.inputs(self.model)
        scores = self.score(inputs)
        if not per_class:
            return ConformalThreshold(scores, alpha)
        return MondrianThreshold(scores, self.model.labels(inputs.similarities), self.model.classes, alpha)

    def state(self) -> State:
        """Return what :meth:`learn` learned."""
        return {}, {}

    def restore(self, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Take back what :meth:`state` returned; ValueError if the parts do not fit together."""
        del header, arrays
        return self
