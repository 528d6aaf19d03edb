"""The interface of detection rules: a score for each image, high for clean, and a threshold calibrated on clean images.

To add a rule, write one file with a subclass of :class:`Rule` that has a ``name`` and a ``score``, and add the class to
:mod:`simdnn.rules.registry`; :mod:`simdnn.rules.similarity` is the shortest example. Everything else has a default.
Write ``score`` with functions of ``simdnn.arrays.namespace(...)``, which work on NumPy arrays and on PyTorch tensors:
adaptive attacks differentiate it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import Array, FloatArray
from simdnn.conformal.joint import JointThreshold
from simdnn.conformal.per_class import MondrianThreshold
from simdnn.conformal.split import ConformalThreshold
from simdnn.conformal.threshold import Threshold
from simdnn.images.shifts import Shift
from simdnn.paper.model import SimilarityModel
from simdnn.rules.calibration import CalibrationSet
from simdnn.rules.inputs import RuleInput
from simdnn.rules.second_opinion import SecondOpinion

State = tuple[dict[str, Any], dict[str, NDArray[Any]]]
"""The state of a rule in the guard file: values for JSON, and arrays by name."""


@dataclass(frozen=True)
class LearnedImages:
    """The N clean images that the prototypes were learned from, for a rule that learns more from them.

    Attributes
    ----------
    labels : (N,) true classes
    logits : (N, K) logits of the protected network
    auxiliary_classes : names of the auxiliary network's outputs; empty without one
    reference : some of the images, at most :data:`simdnn.rules.registry.REFERENCE`, with their views. No exemplars are
        among them, since these are closer to their prototypes than other images are
    unlearned : (R,) which of the reference images the auxiliary network has not learned, too; None for all. It agrees
        more with those that it has learned than it will with new ones
    """

    labels: NDArray[Any]
    logits: NDArray[np.float32]
    auxiliary_classes: tuple[str, ...]
    reference: RuleInput
    unlearned: NDArray[np.bool_] | None = None


class Rule(ABC):
    """Scores images and calibrates the threshold; high scores are clean.

    Parameters
    ----------
    model : the prototypes, which may be edited at any time
    calibration : images that calibrate the threshold
    views : harmless shifts of each image that the network also runs on, from :meth:`draw_views`

    Attributes
    ----------
    name : name of the rule on the command line and in guard files
    version : raised whenever the scores of the same images change, so that what was measured before is known as stale
    learns_corruptions : whether harmlessly corrupted copies of calibration images calibrate as well
    uses_auxiliary : whether the score uses an auxiliary network under noise
    opinion : how it does; None for a rule that does not
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
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
        """Draw the views of one guard from the seed; by default there are none."""
        del level, seed
        return ()

    def learn(self, images: LearnedImages) -> None:
        """Learn from clean images, once, before anything is scored; by default nothing."""
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
        """Score N images: (N,), high is clean; an array of the inputs' library."""

    def parts_of_score(self, inputs: RuleInput) -> tuple[Array, ...]:
        """Return scores, (N,) each, whose smallest is the score, on one scale; by default the score alone."""
        return (self.score(inputs),)

    def calibration_scores(self) -> FloatArray:
        """Score the calibration images with the current prototypes: (k,)."""
        scores: FloatArray = self.score(self.calibration.inputs(self.model))
        return scores

    def explain(self, inputs: RuleInput) -> list[dict[str, float]]:
        """Return, for each image, the parts of its score by name; by default none."""
        return [{} for _ in inputs.predictions]

    def threshold(self, *, alpha: float, m: float, per_class: bool = False) -> Threshold:
        """Calibrate the threshold.

        With corrupted copies among the calibration images it is a :class:`simdnn.conformal.joint.JointThreshold`.

        Parameters
        ----------
        alpha : false-alarm rate that it guarantees
        m : number of standard deviations of the published rule; other rules ignore it
        per_class : whether the guarantee is to hold within each class

        Raises
        ------
        InputError
            If there are too few calibration images for ``alpha``.
        """
        del m
        inputs = self.calibration.inputs(self.model)
        scores, labels = self.score(inputs), self.model.labels(inputs.similarities)

        def calibrated_on(rows: NDArray[np.bool_]) -> Threshold:
            if not per_class:
                return ConformalThreshold(scores[rows], alpha)
            return MondrianThreshold(
                scores[rows], labels[rows], np.unique(self.model.prototypes.labels), alpha
            )

        clean = self.calibration.clean
        if clean.all():
            return calibrated_on(clean)
        return JointThreshold(calibrated_on(clean), calibrated_on(np.ones_like(clean)))

    def state(self) -> State:
        """Return what :meth:`learn` learned, for the guard file."""
        return {}, {}

    def restore(self, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Restore what :meth:`state` returned, and return the rule; ValueError if the values do not fit together."""
        del header, arrays
        return self
