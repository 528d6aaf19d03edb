"""Two calibrations in one: clean images for the guarantee, and corrupted copies to tolerate harmless changes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import FloatArray
from simdnn.conformal.threshold import Decision, Threshold


class JointThreshold:
    """Flags a score only if both of its p-values are at most alpha.

    The first p-value is among clean calibration images alone. A new clean image is exchangeable with them, so that the
    guarantee of :class:`simdnn.conformal.split.ConformalThreshold` holds; requiring a second small p-value can only
    lower the false-alarm rate. The second p-value is among clean images and harmlessly corrupted copies of some of
    them. These are not exchangeable, so it guarantees nothing, but it keeps corrupted images from being flagged much
    more often than clean ones.

    Parameters
    ----------
    clean : threshold calibrated on clean images alone
    mixture : threshold calibrated on clean images and corrupted copies together

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
        """Scores below it are flagged by both thresholds: the lower of their offsets."""
        return min(self.clean.offset, self.mixture.offset)

    def judge(self, scores: FloatArray, labels: NDArray[Any] | None = None) -> Decision:
        """Flag (N,) scores that both thresholds flag; each p-value is the larger of the two.

        Raises
        ------
        TypeError
            If a threshold has no p-values.
        """
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
