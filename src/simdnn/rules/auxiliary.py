"""Disagreement of an auxiliary network with the prediction, and the classes that its outputs stand for.

The output of an adversarially trained network changes little under a small change of the image. Where it finds another
class more probable than the predicted one, the image may be attacked.
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
    """The class that each output of the protected and of the auxiliary network stands for.

    Attributes
    ----------
    protected, auxiliary : class of each output; empty for an output that was never predicted on a clean image
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
        labels, predictions : (N,) true classes, and the protected network's outputs
        outputs : number of the protected network's outputs
        auxiliary_logits : (N, w) logits of the auxiliary network

        Raises
        ------
        InputError
            If the auxiliary network's outputs stand for a single class.
        """
        auxiliary = output_classes(auxiliary_logits.argmax(axis=1), labels, auxiliary_logits.shape[1])
        learned = cls(output_classes(predictions, labels, outputs), auxiliary)
        if len(learned.classes) < 2:
            raise InputError(
                "expected an auxiliary network that tells the classes apart; its outputs for all images stand for "
                f"{', '.join(learned.classes) or 'no class'}; train it on these classes first"
            )
        return learned

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that the auxiliary network's outputs stand for, sorted; C of them."""
        return tuple(sorted(set(self.auxiliary) - {""}))

    def columns(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Return the index of each name among `classes`; -1 for a name that is not among them."""
        index = {name: column for column, name in enumerate(self.classes)}
        return np.array([index.get(str(name), -1) for name in names], dtype=np.int64)

    def disagreement(
        self, auxiliary_logits: Array, predictions: Array, nearest: Array, prototype_labels: Sequence[str]
    ) -> Array:
        """Return the auxiliary network's disagreement with the prediction or with Sim-DNN's label: (N,), in [-1, 1].

        The larger of the two disagreements, see :func:`disagreement`.

        Parameters
        ----------
        auxiliary_logits : (N, w) logits of the auxiliary network
        predictions : (N,) outputs of the protected network
        nearest : (N,) index of the nearest prototype
        prototype_labels : (M,) class of each prototype
        """
        logits = self.of_classes(double(auxiliary_logits))
        predicted = index_like(self.columns(self.protected), logits)[predictions]
        labels = index_like(self.columns(prototype_labels), logits)[nearest]
        return disagreement(logits, (predicted, labels))

    def of_classes(self, auxiliary_logits: Array) -> Array:
        """Return the largest logit of each class, over the outputs that stand for it: (N, w) to (N, C)."""
        xp, output_names = namespace(auxiliary_logits), np.array(self.auxiliary)
        largest = []
        for name in self.classes:
            columns = index_like(np.flatnonzero(output_names == name), auxiliary_logits)
            largest.append(xp.max(auxiliary_logits[:, columns], axis=1))
        return xp.stack(largest, axis=1)


def disagreement(logits: Array, predictions: Sequence[Array]) -> Array:
    """Return the largest probability of another class minus that of the predicted one, by an auxiliary network.

    It is in probabilities, not log-odds, so that a clean image about which the auxiliary network is uncertain has a
    small disagreement.

    Parameters
    ----------
    logits : (N, C) logits of the auxiliary network by class, C >= 2
    predictions : arrays (N,) of columns of ``logits``; -1 for a class that is not among them

    Returns
    -------
    (N,) in [-1, 1], the largest over the predictions: positive where the auxiliary network predicts another class. 0
    where all predictions are -1.

    >>> disagreement(np.log([[0.75, 0.25], [0.75, 0.25]]), [np.array([0, 1])]).round(6).tolist()
    [-0.5, 0.5]
    """
    xp = namespace(logits)
    exponentials = xp.exp(logits - xp.max(logits, axis=1)[:, None])
    probabilities = exponentials / xp.sum(exponentials, axis=1)[:, None]
    differences = []
    for prediction in predictions:
        column = xp.clip(prediction, 0)
        difference = best_other(probabilities, column) - at(probabilities, column)
        differences.append(xp.where(prediction >= 0, difference, -xp.inf))
    largest = xp.max(xp.stack(differences), axis=0)
    return xp.where(xp.isfinite(largest), largest, 0.0)


def output_classes(predictions: ArrayLike, labels: NDArray[Any], outputs: int) -> tuple[str, ...]:
    """Return the class that each output of a network stands for.

    Parameters
    ----------
    predictions : (N,) the network's outputs for clean images
    labels : (N,) true classes of the images
    outputs : number of the network's outputs

    Returns
    -------
    For each output, the most frequent class of the images for which it was predicted; empty if there are none.

    >>> output_classes([2, 2, 0], np.array(["cat", "cat", "dog"]), 3)
    ('dog', '', 'cat')
    """
    classes, columns = np.unique(labels, return_inverse=True)
    counts = np.zeros((outputs, len(classes)), dtype=np.int64)
    np.add.at(counts, (np.asarray(predictions), columns), 1)
    return tuple(str(classes[row.argmax()]) if row.any() else "" for row in counts)
