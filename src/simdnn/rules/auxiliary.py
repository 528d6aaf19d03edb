"""An auxiliary network that must agree: what its outputs stand for, and how far it disagrees with a prediction.

The predictions of an adversarially trained network cannot be moved far by a small change of the image. Where it gives
another class more than the one that is predicted, the prediction is in doubt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simdnn.arrays import Array, at, best_other, double, index_like, namespace
from simdnn.errors import InputError


@dataclass(frozen=True)
class OutputClasses:
    """What class of images each output of the protected and of the auxiliary network stands for.

    Attributes
    ----------
    protected, auxiliary : class of each output; empty where it was never predicted on a clean image
    """

    protected: tuple[str, ...]
    auxiliary: tuple[str, ...]

    @classmethod
    def learn(
        cls,
        labels: NDArray[np.str_],
        predictions: NDArray[np.int64],
        outputs: int,
        auxiliary_logits: NDArray[np.float32],
    ) -> OutputClasses:
        """Learn from N clean images.

        Parameters
        ----------
        labels, predictions : (N,) their classes, and the protected network's outputs
        outputs : number of the protected network's outputs
        auxiliary_logits : (N, w)

        Raises
        ------
        InputError
            If the auxiliary network does not tell two of the classes apart.
        """
        own = output_classes(auxiliary_logits.argmax(axis=1), labels, auxiliary_logits.shape[1])
        learned = cls(output_classes(predictions, labels, outputs), own)
        if len(learned.classes) < 2:
            raise InputError(
                f"expected an auxiliary network that tells the classes apart; it predicts {own} for all images; "
                "train it on them first"
            )
        return learned

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that the auxiliary network knows, sorted."""
        return tuple(sorted(set(self.auxiliary) - {""}))

    def columns(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Return the place of each name among `classes`; -1 for one that is not there."""
        places = {name: place for place, name in enumerate(self.classes)}
        return np.array([places.get(str(name), -1) for name in names], dtype=np.int64)

    def disagreement(
        self, auxiliary_logits: Array, predictions: Array, nearest: Array, prototype_labels: Sequence[str]
    ) -> Array:
        """Return how far the auxiliary network is from the prediction and from Sim-DNN's label: (N,), -1 to 1.

        Parameters
        ----------
        auxiliary_logits : (N, w)
        predictions : (N,) outputs of the protected network
        nearest : (N,) index of the nearest prototype
        prototype_labels : (M,) class of each prototype
        """
        logits = self.of_classes(double(auxiliary_logits))
        known = index_like(self.columns(self.protected), logits)[predictions]
        label = index_like(self.columns(prototype_labels), logits)[nearest]
        return disagreement(logits, (known, label))

    def of_classes(self, auxiliary_logits: Array) -> Array:
        """Return the largest logit among the outputs that stand for each class: (N, w) to (N, C)."""
        xp, own = namespace(auxiliary_logits), np.array(self.auxiliary)
        best = []
        for name in self.classes:
            columns = index_like(np.flatnonzero(own == name), auxiliary_logits)
            best.append(xp.max(auxiliary_logits[:, columns], axis=1))
        return xp.stack(best, axis=1)


def disagreement(logits: Array, predictions: Sequence[Array]) -> Array:
    """Return how much more probable an auxiliary network finds another class than the one predicted.

    In probabilities rather than log-odds: a clean image that the auxiliary network knows little about then weighs
    little.

    Parameters
    ----------
    logits : (N, C) of each class, C >= 2
    predictions : (N,) each, columns of ``logits``; -1 for a class that it does not know

    Returns
    -------
    (N,): differences of probabilities, -1 to 1, the largest over the predictions. Positive where it would predict
    otherwise; 0 where it knows none of them.

    >>> disagreement(np.log([[0.75, 0.25], [0.75, 0.25]]), [np.array([0, 1])]).round(6).tolist()
    [-0.5, 0.5]
    """
    xp = namespace(logits)
    odds = xp.exp(logits - xp.max(logits, axis=1)[:, None])
    shares = odds / xp.sum(odds, axis=1)[:, None]
    found = []
    for prediction in predictions:
        column = xp.clip(prediction, 0)
        ahead = best_other(shares, column) - at(shares, column)
        found.append(xp.where(prediction >= 0, ahead, -xp.inf))
    worst = xp.max(xp.stack(found), axis=0)
    return xp.where(xp.isfinite(worst), worst, 0.0)


def output_classes(predictions: ArrayLike, labels: NDArray[Any], outputs: int) -> tuple[str, ...]:
    """Return what class of images each of a network's outputs stands for.

    Parameters
    ----------
    predictions : (N,) the network's outputs for clean images
    labels : (N,) their classes
    outputs : how many outputs it has

    Returns
    -------
    The class on which each output was predicted most often; empty where it never was.

    >>> output_classes([2, 2, 0], np.array(["cat", "cat", "dog"]), 3)
    ('dog', '', 'cat')
    """
    classes, columns = np.unique(labels, return_inverse=True)
    counts = np.zeros((outputs, len(classes)), dtype=np.int64)
    np.add.at(counts, (np.asarray(predictions), columns), 1)
    return tuple(str(classes[row.argmax()]) if row.any() else "" for row in counts)
