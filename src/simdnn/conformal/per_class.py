"""Split-conformal calibration of each class on its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simdnn.arrays import FloatArray
from simdnn.conformal.split import ConformalThreshold
from simdnn.conformal.threshold import Decision
from simdnn.errors import InputError


class MondrianThreshold:
    """A :class:`ConformalThreshold` for each class: the promise then holds among the images of each label.

    Images of a class that scores lower than the others are then not flagged more often. The class is the label that
    Sim-DNN gives (eq. 13), which is known of every image; the true one is not (Vovk, Gammerman and Shafer, 2005, on
    Mondrian conformal prediction).

    Parameters
    ----------
    scores, labels : (n,) scores and labels given of clean images that were held out of learning
    classes : every label that may be given
    alpha : false-alarm rate asked for

    Raises
    ------
    InputError
        As for :class:`ConformalThreshold`, of any of the classes.

    >>> scores, labels = np.array([1.0, 2.0, 5.0, 6.0]), np.array(["a", "a", "b", "b"])
    >>> MondrianThreshold(scores, labels, ["a", "b"], 0.34).judge(np.array([4.0, 4.0]), labels[1:3]).attack.tolist()
    [False, True]
    """

    def __init__(self, scores: ArrayLike, labels: ArrayLike, classes: Iterable[Any], alpha: float) -> None:
        given, of = np.asarray(scores, dtype=np.float64), np.asarray(labels)
        self.of_class: dict[Any, ConformalThreshold] = {}
        for label in classes:
            try:
                self.of_class[label] = ConformalThreshold(given[of == label], alpha)
            except InputError as error:
                raise InputError(f"class {label}: {error}") from error

    @property
    def offset(self) -> float:
        """The highest of the classes' offsets: no score above it is flagged."""
        return max(threshold.offset for threshold in self.of_class.values())

    def judge(self, scores: FloatArray, labels: NDArray[Any] | None = None) -> Decision:
        """Judge each score among those of its label; InputError without labels, or with one that has no threshold."""
        if labels is None:
            raise InputError("a threshold for each class needs the labels of the samples")
        known = np.isin(labels, list(self.of_class))
        if not known.all():
            raise InputError(
                f"expected labels among {', '.join(map(str, self.of_class))}; got {labels[~known][0]}; "
                "calibrate a threshold for that class too"
            )
        offsets, p_values = np.empty(len(scores)), np.empty(len(scores))
        for label, threshold in self.of_class.items():
            own = labels == label
            offsets[own], p_values[own] = threshold.offset, threshold.p_values(scores[own])
        return Decision(scores < offsets, offsets, p_values)
