"""Mondrian conformal calibration: a separate threshold for each class."""

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
    """A :class:`ConformalThreshold` for each class, so that the guarantee holds among the images of each label.

    Without it, a class with lower scores than the others is flagged more often. The classes are Sim-DNN's labels
    (eq. 13), since the true class of a new image is unknown. Source: Vovk, Gammerman and Shafer, *Algorithmic Learning
    in a Random World*, 2005, on Mondrian conformal prediction.

    Parameters
    ----------
    scores, labels : (n,) scores and Sim-DNN's labels of clean images that were held out of learning
    classes : every label that can occur
    alpha : false-alarm rate, in [1 / (n_c + 1), 1) for the n_c images of every class

    Raises
    ------
    InputError
        As for :class:`ConformalThreshold`; the message names the class.

    >>> scores, labels = np.array([1.0, 2.0, 5.0, 6.0]), np.array(["a", "a", "b", "b"])
    >>> MondrianThreshold(scores, labels, ["a", "b"], 0.34).judge(np.array([4.0, 4.0]), labels[1:3]).attack.tolist()
    [False, True]
    """

    def __init__(self, scores: ArrayLike, labels: ArrayLike, classes: Iterable[Any], alpha: float) -> None:
        all_scores, all_labels = np.asarray(scores, dtype=np.float64), np.asarray(labels)
        self.by_class: dict[Any, ConformalThreshold] = {}
        for label in classes:
            try:
                self.by_class[label] = ConformalThreshold(all_scores[all_labels == label], alpha)
            except InputError as error:
                raise InputError(f"class {label}: {error}") from error

    @property
    def offset(self) -> float:
        """The highest of the classes' offsets: no score above it is flagged."""
        return max(threshold.offset for threshold in self.by_class.values())

    def judge(self, scores: FloatArray, labels: NDArray[Any] | None = None) -> Decision:
        """Flag each of (N,) scores by the threshold of its label (N,).

        Raises
        ------
        InputError
            If labels are missing, or one of them has no threshold.
        """
        if labels is None:
            raise InputError("a threshold for each class needs the labels of the samples")
        known = np.isin(labels, list(self.by_class))
        if not known.all():
            raise InputError(
                f"expected labels among {', '.join(map(str, self.by_class))}; got {labels[~known][0]}; "
                "calibrate a threshold for that class too"
            )
        offsets, p_values = np.empty(len(scores)), np.empty(len(scores))
        for label, threshold in self.by_class.items():
            rows = labels == label
            offsets[rows], p_values[rows] = threshold.offset, threshold.p_values(scores[rows])
        return Decision(scores < offsets, offsets, p_values)
