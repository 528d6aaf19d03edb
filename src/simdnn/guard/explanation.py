"""Why a verdict came out as it did: the data behind Fig. 5 of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import FloatArray
from simdnn.errors import InputError
from simdnn.guard.exemplars import Exemplar
from simdnn.guard.verdict import Verdict


@dataclass(frozen=True)
class Explanation:
    """One verdict with all that it rests on.

    Attributes
    ----------
    verdict : the verdict; its ``evidence`` names the prototypes that ``exemplars`` show
    image : (H, W, 3) the pixels that the network saw, in [0, 1]
    exemplars : the training image behind each prototype of the evidence, in the same order
    calibration_scores : (n,) the rule's scores of the images that calibrate, sorted
    corrupted : (n,) True for those of corrupted copies
    deviations : by how many standard deviations of clean images each source speaks for an attack, for each of
        :data:`simdnn.rules.sources.SOURCES`; empty unless the rule is ``"profile"``
    shares : share of the noisy draws that the auxiliary network gives each of the guard's classes; empty unless the
        rule has a second opinion
    """

    verdict: Verdict
    image: NDArray[np.float32]
    exemplars: tuple[Exemplar, ...]
    calibration_scores: FloatArray
    corrupted: NDArray[np.bool_]
    deviations: Mapping[str, float]
    shares: Mapping[str, float]

    @property
    def score_and_threshold(self) -> tuple[float, float]:
        """What the image scored, and what it was held against; InputError for a verdict that is an error."""
        verdict = self.verdict
        if verdict.score is None or verdict.threshold is None:
            raise InputError(f"{verdict.path} has no score to show: {verdict.error}")
        return verdict.score, verdict.threshold
