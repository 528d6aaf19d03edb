"""A threshold on two calibrations: clean images keep the promise, and corrupted copies spare harmless changes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import FloatArray
from simdnn.conformal.threshold import Decision, Threshold


class JointThreshold:
    """Flags a score only if both its p-values are at most alpha.

    Among clean images alone, a new clean image is exchangeable with those that calibrate, so that the promise of
    :class:`simdnn.conformal.split.ConformalThreshold` holds, and holds all the more where a second p-value must be
    small, too. Among clean images and harmlessly corrupted copies of some of them together nothing is exchangeable, and
    nothing is promised; that p-value keeps corrupted images from being flagged much more often than clean ones.

    Parameters
    ----------
    clean : threshold that clean images alone set
    mixture : threshold that clean images and corrupted copies together set

    >>> from simdnn.conformal.split import ConformalThreshold
    >>> clean = ConformalThreshold(np.arange(10.0, 29.0), alpha=0.1)
    >>> mixture = ConformalThreshold(np.arange(0.0, 29.0), alpha=0.1)
    >>> joint = JointThreshold(clean, mixture)
    >>> clean.offset, mixture.offset, joint.offset
    (11.0, 2.0, 2.0)
    >>> joint.judge(np.array([5.0, 1.0])).attack.tolist()
    [False, True]
    """

    def __init__(self, clean: Threshold, mixture: Threshold) -> None:
        self.clean = clean
        self.mixture = mixture

    @property
    def offset(self) -> float:
        """The score below which both see an attack; the lower of the two."""
        return min(self.clean.offset, self.mixture.offset)

    def judge(self, scores: FloatArray, labels: NDArray[Any] | None = None) -> Decision:
        """Judge (N,) scores by both thresholds; the p-values are the larger of the two."""
        clean, mixture = self.clean.judge(scores, labels), self.mixture.judge(scores, labels)
        if clean.p_values is None or mixture.p_values is None:
            raise TypeError("expected two thresholds that have p-values")
        return Decision(
            clean.attack & mixture.attack,
            np.minimum(clean.offsets, mixture.offsets),
            np.maximum(clean.p_values, mixture.p_values),
            clean.p_values,
            mixture.p_values,
        )
