"""Certified radii of images as they were received: how far an original would have to be for its class to be another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from simdnn.guard.verdict import Verdict
from simdnn.networks.batch import Batch
from simdnn.networks.draws import Draws
from simdnn.networks.voter import Voter
from simdnn.rules.second_opinion import SecondOpinion

ERROR = 0.001
"""Probability, at most, that the radius of an image is too large, by luck of its draws."""


@dataclass(frozen=True)
class Certifier:
    """Adds certified radii to the verdicts of clean images.

    Attributes
    ----------
    voter : the auxiliary network
    opinion : which outputs of the networks agree
    draws : noise for the radii, which the rule does not look at
    """

    voter: Voter
    opinion: SecondOpinion
    draws: Draws

    def __call__(self, batch: Batch, verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
        """Yield the verdicts of a batch with its pixels, in order; only clean images are drawn for."""
        rows = {position: row for row, position in enumerate(batch.positions.tolist())}
        for position, verdict in zip(sorted(rows | batch.errors), verdicts, strict=True):
            if verdict.verdict == "clean":
                yield replace(verdict, certified_radius=self._radius(batch, rows[position]))
            else:
                yield verdict

    def _radius(self, batch: Batch, row: int) -> float:
        from simdnn.smoothing.radius import image_radius  # needs SciPy

        assert batch.pixels is not None
        counts = self.voter.count(batch.pixels[row : row + 1], self.draws)[0]
        logits = batch.logits[row : row + 1]
        (given,) = self.opinion.classes(logits, logits.argmax(axis=1))
        column = self.opinion.columns[given]
        radius = image_radius(
            counts[column], self.draws.n, sigma=self.voter.sigma, norm=self.voter.norm, error=ERROR
        )
        return float(radius)
