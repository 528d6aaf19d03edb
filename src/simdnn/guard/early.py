"""Votes no longer than needed: an image's draws end once the rest of them cannot change its verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simdnn.networks.batch import Batch
from simdnn.networks.draws import Draws
from simdnn.networks.voter import Voter
from simdnn.rules.second_opinion import SecondOpinion
from simdnn.smoothing.votes import early_decision


@dataclass(frozen=True)
class EarlyVoting:
    """Adds votes to a batch that has its pixels.

    The share of the draws that were taken lies on the same side of the threshold as that of all n: either ``needed`` of
    them agree, a share of at least needed / n, or so few that it is below.

    Attributes
    ----------
    voter : the auxiliary network
    opinion : which outputs of the networks agree
    draws : all that would be taken
    needed : votes of all draws with which an image passes
    """

    voter: Voter
    opinion: SecondOpinion
    draws: Draws
    needed: int

    def __call__(self, batch: Batch) -> Batch:
        """Return the batch with votes."""
        width = len(self.voter.classes)
        if batch.pixels is None:
            return replace(batch, votes=np.empty((0, width), dtype=np.int64))
        columns = np.array(self.opinion.columns)[
            self.opinion.classes(batch.logits, batch.logits.argmax(axis=1))
        ]

        def enough(row: int, counts: NDArray[np.int64]) -> bool:
            return self._decided(int(counts[columns[row]]), int(counts.sum()))

        return replace(batch, votes=self.voter.count(batch.pixels, self.draws, enough=enough))

    def _decided(self, votes: int, drawn: int) -> bool:
        if not 0 < self.needed <= self.draws.n:  # every image passes, or none
            return True
        return early_decision(votes, drawn, self.draws.n, self.needed / self.draws.n) is not None
