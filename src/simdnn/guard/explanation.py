"""Why a verdict came out as it did: the data behind Fig. 5 of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import FloatArray
from simdnn.errors import ImageReadError, InputError
from simdnn.guard.exemplars import Exemplar
from simdnn.guard.verdict import Verdict
from simdnn.rules.inputs import RuleInput

if TYPE_CHECKING:
    from torch import Tensor

    from simdnn.guard.judging import Judging
    from simdnn.guard.state import GuardState


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

    @classmethod
    def of(cls, guard: GuardState, judging: Judging, image: Path | str | Tensor) -> Self:
        """Judge one image, and gather what its verdict rests on; ImageReadError if it cannot be read.

        Parameters
        ----------
        guard : whose prototypes and calibration images are shown
        judging : judges the image, and certifies it where that was asked for
        image : a file, or (3, H, W) in [0, 1]
        """
        judge = judging.judge
        stream = judging.extractor.stream([image], views=judge.rule.views, draws=judging.draws, pixels=True)
        batch = next(stream)
        if batch.pixels is None:
            raise ImageReadError(f"{image}: {batch.errors[0]}")
        name = str(image) if isinstance(image, (str, Path)) else "image"
        (verdict,) = judge(batch, [name])
        if verdict.verdict == "error":
            raise ImageReadError(f"{name}: {verdict.error}")
        if judging.certifier is not None:
            (verdict,) = judging.certifier(batch, [verdict])
        rows = [guard.model.prototypes[neighbour.prototype].exemplar for neighbour in verdict.evidence]
        scores = judge.rule.calibration_scores()
        order = np.argsort(scores)
        seen = RuleInput.of(batch, guard.model)
        (deviations,) = judge.rule.explain(seen)
        opinion = judge.rule.opinion
        return cls(
            verdict=verdict,
            image=batch.pixels[0].transpose(1, 2, 0),
            exemplars=tuple(guard.exemplar(row) for row in rows),
            calibration_scores=scores[order],
            corrupted=~guard.calibration.clean[order],
            deviations=deviations,
            shares={} if opinion is None else opinion.by_class(seen.shares[0]),
        )

    @property
    def score_and_threshold(self) -> tuple[float, float]:
        """What the image scored, and what it was held against; InputError for a verdict that is an error."""
        verdict = self.verdict
        if verdict.score is None or verdict.threshold is None:
            raise InputError(f"{verdict.path} has no score to show: {verdict.error}")
        return verdict.score, verdict.threshold
