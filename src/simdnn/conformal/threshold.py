"""The interface of thresholds, and their decisions. A score *below* the ``offset`` is flagged: high is clean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import FloatArray


@dataclass(frozen=True)
class Decision:
    """Decision of a threshold on N scores.

    Attributes
    ----------
    attack : (N,) True where the score is below the offset
    offsets : (N,) the offset that each score was compared with
    p_values : (N,) conformal p-values in (0, 1], at most alpha where flagged; None where the threshold has none
    clean_p_values, mixture_p_values : (N,) the two p-values of :class:`simdnn.conformal.joint.JointThreshold`, whose
        larger one is in ``p_values``; None from other thresholds
    """

    attack: NDArray[np.bool_]
    offsets: FloatArray
    p_values: FloatArray | None
    clean_p_values: FloatArray | None = None
    mixture_p_values: FloatArray | None = None


class Threshold(Protocol):
    """Flags scores below an offset."""

    @property
    def offset(self) -> float:
        """The next score is flagged if it is below."""
        ...

    def judge(self, scores: FloatArray, labels: NDArray[Any] | None = None) -> Decision:
        """Decide on (N,) scores in their order; ``labels`` (N,) are Sim-DNN's, for thresholds per class."""
        ...
