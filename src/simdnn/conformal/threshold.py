"""What a threshold is, and what it says of scores. All flag a score that is *below* their ``offset``: high is clean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import FloatArray


@dataclass(frozen=True)
class Decision:
    """What a threshold says of N scores.

    Attributes
    ----------
    attack : (N,) True where the score is below the offset
    offsets : (N,) the offset that each score was held against
    p_values : (N,) conformal p-values in (0, 1], at most alpha where flagged; None where the threshold has none
    clean_p_values, mixture_p_values : (N,) where there are two, those among clean images alone, and among clean images
        and corrupted copies together; ``p_values`` has the larger
    """

    attack: NDArray[np.bool_]
    offsets: FloatArray
    p_values: FloatArray | None
    clean_p_values: FloatArray | None = None
    mixture_p_values: FloatArray | None = None


class Threshold(Protocol):
    """Anything that tells attacks by their score."""

    @property
    def offset(self) -> float:
        """The score below which it sees an attack now."""
        ...

    def judge(self, scores: FloatArray, labels: NDArray[Any] | None = None) -> Decision:
        """Judge (N,) scores in their order; ``labels`` (N,) of the samples, where the threshold asks for them."""
        ...
