"""A second opinion: in how many noisy draws an auxiliary network gives the class that the protected network gives.

The share alone bears the certificate of ``docs/certificate.md``. So ties among images with one share are not broken
by anything finer: a tie counts against flagging, and the promised false-alarm rate holds with ties, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import Array, FloatArray, IntArray, at, index_like, namespace
from simdnn.errors import InputError
from simdnn.rules.inputs import RuleInput


@dataclass(frozen=True)
class SecondOpinion:
    """Which outputs of both networks stand for the same class.

    The class that the protected network gives an image is that of the largest logit among ``outputs``. Where it has an
    output for each class and no more, that is its prediction. Where it has others, such as ImageNet's 1000, they count
    for nothing: a prediction outside of the classes is no class, and not more suspicious than it is on clean images.

    Attributes
    ----------
    names : classes, sorted
    outputs : for each, the protected network's output that stands for it
    columns : for each, the auxiliary network's output
    """

    names: tuple[str, ...]
    outputs: tuple[int, ...]
    columns: tuple[int, ...]

    @classmethod
    def learn(cls, labels: NDArray[np.str_], logits: NDArray[np.float32], auxiliary: Sequence[str]) -> Self:
        """Learn from N clean images what the protected network's outputs stand for.

        Parameters
        ----------
        labels : (N,) their classes
        logits : (N, K) of the protected network
        auxiliary : names of the auxiliary network's outputs

        Raises
        ------
        InputError
            If there is one class alone, the auxiliary network does not know one, or the protected network has too few
            outputs.
        """
        names = tuple(sorted(set(labels.tolist())))
        if len(names) < 2:
            raise InputError(
                f"a second opinion needs images of at least two classes; got {', '.join(names)} alone"
            )
        if unknown := [name for name in names if name not in auxiliary]:
            raise InputError(
                f"expected an auxiliary network that knows all classes; it lacks {', '.join(unknown[:5])}, and knows "
                f"{', '.join(auxiliary[:5])}{' and more' if len(auxiliary) > 5 else ''}; train it on the same classes"
            )
        outputs = outputs_of_classes(logits, labels)
        return cls(names, tuple(outputs.tolist()), tuple(auxiliary.index(name) for name in names))

    @classmethod
    def restore(cls, plain: Mapping[str, Any], outputs: int, columns: int) -> Self:
        """Undo :meth:`as_dict`; ValueError unless it fits networks with so many outputs."""
        found = cls(tuple(plain["names"]), tuple(plain["outputs"]), tuple(plain["columns"]))
        if not all(isinstance(name, str) for name in found.names):
            raise ValueError("expected texts for the classes")
        for places, n in ((found.outputs, outputs), (found.columns, columns)):
            sound = all(type(place) is int and 0 <= place < n for place in places)
            if not sound or not len(set(places)) == len(places) == len(set(found.names)) >= 2:
                raise ValueError("the classes of the outputs do not fit the networks")
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {"names": list(self.names), "outputs": list(self.outputs), "columns": list(self.columns)}

    def classes(self, logits: Array, predictions: Array) -> Array:
        """Return the class that the protected network gives: (N,) places among ``names``.

        Parameters
        ----------
        logits : (N, K)
        predictions : (N,) its outputs, or those that an attacker wants; where they stand for a class, they count

        >>> both = SecondOpinion(("cat", "dog"), (2, 0), (0, 1))
        >>> both.classes(np.array([[0.0, 9.0, 1.0], [3.0, 9.0, 1.0]]), np.array([1, 2])).tolist()
        [0, 0]
        """
        xp = namespace(logits)
        largest = xp.argmax(logits[:, index_like(self.outputs, logits)], axis=1)
        place = np.full(logits.shape[1], -1)
        place[list(self.outputs)] = np.arange(len(self.outputs))
        given = index_like(place, logits)[predictions]
        return xp.where(given >= 0, given, largest)

    def of(self, inputs: RuleInput) -> Array:
        """Return the share of draws that agree with the protected network: (N,), 0 to 1."""
        return self.share(inputs.shares, self.classes(inputs.logits, inputs.predictions))

    def share(self, shares: Array, classes: Array) -> Array:
        """Return the share of draws, (N,), that give these classes, from (N, c) shares of all outputs."""
        return at(shares, index_like(self.columns, shares)[classes])

    def by_class(self, shares: FloatArray) -> dict[str, float]:
        """Return the share of draws of each class, by its name, from one image's shares of all outputs, (c,)."""
        return {name: float(shares[column]) for name, column in zip(self.names, self.columns, strict=True)}


def outputs_of_classes(logits: NDArray[np.float32], labels: NDArray[Any]) -> IntArray:
    """Return which of a network's outputs stands for each class of images.

    Each class gets an output of its own, so that the mean probabilities of the outputs on their classes are largest in
    sum (Kuhn, "The Hungarian method for the assignment problem", 1955).

    Parameters
    ----------
    logits : (N, K) for clean images
    labels : (N,) their classes, C of them

    Returns
    -------
    (C,) outputs, in the order of the sorted classes.

    Raises
    ------
    InputError
        If there are fewer outputs than classes.

    >>> logits = np.log([[0.1, 0.2, 0.7], [0.1, 0.3, 0.6], [0.5, 0.4, 0.1]])
    >>> outputs_of_classes(logits, np.array(["cat", "cat", "dog"])).tolist()
    [2, 0]
    """
    names = np.unique(labels)
    if logits.shape[1] < len(names):
        raise InputError(
            f"expected a protected network with an output for each of {len(names)} classes; it has {logits.shape[1]}"
        )
    from scipy.optimize import linear_sum_assignment  # learning alone needs SciPy
    from scipy.special import softmax

    posterior = softmax(np.asarray(logits, dtype=np.float64), axis=1)
    mean = np.stack([posterior[labels == name].mean(axis=0) for name in names])
    outputs: IntArray = linear_sum_assignment(mean, maximize=True)[1]
    return outputs
