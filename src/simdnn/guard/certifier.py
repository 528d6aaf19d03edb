"""Certified radii of images as they were received: how far an original would have to be for its class to be another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from simdnn.guard.verdict import Verdict
from simdnn.networks.auxiliary import AuxiliaryNetwork
from simdnn.networks.batch import Batch
from simdnn.networks.device import device_of
from simdnn.networks.reduction import reduction_norm
from simdnn.networks.votes import Draws, count_votes
from simdnn.rules.second_opinion import SecondOpinion
from simdnn.smoothing.radius import image_radius

ERROR = 0.001
"""Probability, at most, that the radius of an image is too large, by luck of its draws."""


@dataclass(frozen=True)
class Certifier:
    """Adds certified radii to the verdicts of clean images.

    Attributes
    ----------
    auxiliary : the auxiliary network
    opinion : which outputs of the networks agree
    draws : noise for the radii; its first draws are those that the rule looks at
    """

    auxiliary: AuxiliaryNetwork
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
        assert batch.pixels is not None
        image = batch.pixels[row : row + 1].to(device_of(self.auxiliary))
        counts = count_votes(self.auxiliary, image, self.draws)[0]
        logits = batch.logits[row : row + 1]
        (given,) = self.opinion.classes(logits, logits.argmax(axis=1))
        column = self.opinion.columns[given]
        spec = self.auxiliary.spec
        norm = reduction_norm(*image.shape[-2:], spec.side)
        radius = image_radius(counts[column], self.draws.n, sigma=spec.sigma, norm=norm, error=ERROR)
        return float(radius)
