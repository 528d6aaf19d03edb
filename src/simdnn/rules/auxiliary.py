"""The witness of a hardened guard: what is known of a second network, one that is hard to move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import FloatArray
from simdnn.errors import InputError
from simdnn.guard.state import check_array
from simdnn.rules.disagreement import class_logits, disagreement, usual_classes

PREFIX = "witness_"
SHAPES = {"calibration": "kw", "hardening": "hw", "outputs": "k", "hardening_outputs": "h"}
"""Sides of each array in the guard file: k and h images, w outputs of the witness."""

LARGEST = 1e12
"""No logit comes near it."""


@dataclass(frozen=True)
class Answers:
    """What the protected network and the witness say of N images.

    Attributes
    ----------
    outputs : (N,) the protected network's answers
    logits : (N, w) the witness's
    """

    outputs: NDArray[np.int64]
    logits: NDArray[np.float32]


@dataclass(frozen=True)
class Witness:
    """What the outputs of both networks stand for, and what they say of the images that calibrate.

    Attributes
    ----------
    usual : class that each output of the protected network stands for; empty where it never came on a clean image
    own : the same of the witness's outputs
    calibration, hardening : of the images that calibrate, and of those changed harmlessly
    """

    usual: tuple[str, ...]
    own: tuple[str, ...]
    calibration: Answers
    hardening: Answers

    @classmethod
    def learn(
        cls,
        learned: Answers,
        labels: NDArray[np.str_],
        n_outputs: int,
        calibration: Answers,
        hardening: Answers,
    ) -> Self:
        """Learn from N clean images with their ``labels`` (N,) what outputs stand for.

        Raises
        ------
        InputError
            If the witness does not tell two of the classes apart.
        """
        own = usual_classes(learned.logits.argmax(axis=1), labels, learned.logits.shape[1])
        witness = cls(usual_classes(learned.outputs, labels, n_outputs), own, calibration, hardening)
        if len(witness.classes) < 2:
            raise InputError(
                f"expected a witness that tells the classes apart; it gives all images the class {own}; "
                "train it on them first"
            )
        return witness

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that the witness knows, sorted."""
        return tuple(sorted(set(self.own) - {""}))

    def disagreement(self, said: Answers, labels: NDArray[np.str_]) -> FloatArray:
        """Return how far the witness is from Sim-DNN's labels (N,) and from the network's answers: (N,).

        See :func:`simdnn.rules.disagreement.disagreement`.
        """
        places = {label: place for place, label in enumerate(self.classes)}
        told = [*labels.tolist(), *(self.usual[output] for output in said.outputs)]
        answers = np.array([places.get(label, -1) for label in told], dtype=np.int64).reshape(2, -1).T
        return disagreement(class_logits(said.logits, self.own, self.classes), answers)

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return a header and arrays for the guard file."""
        tensors: dict[str, NDArray[Any]] = {
            "calibration": self.calibration.logits,
            "outputs": self.calibration.outputs,
            "hardening": self.hardening.logits,
            "hardening_outputs": self.hardening.outputs,
        }
        header = {"usual": list(self.usual), "own": list(self.own)}
        return header, {PREFIX + name: array for name, array in tensors.items()}

    @classmethod
    def unpack(
        cls, header: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], images: tuple[int, int]
    ) -> Self:
        """Undo :meth:`pack`; ValueError if the parts do not fit together.

        Parameters
        ----------
        header, tensors : of the file
        images : how many images calibrate, and how many were changed harmlessly
        """
        array: dict[str, NDArray[Any]] = {name: tensors[PREFIX + name] for name in SHAPES}
        usual, own = tuple(header["usual"]), tuple(header["own"])
        if not all(isinstance(label, str) for label in (*usual, *own)):
            raise ValueError("expected texts for the classes that outputs stand for")
        sides = {"k": images[0], "h": images[1], "w": len(own)}
        for name, letters in SHAPES.items():
            kind, limits = ("f", (-LARGEST, LARGEST)) if "w" in letters else ("i", (0, len(usual) - 1))
            check_array(name, array, letters, sides, kind, limits)
        witness = cls(
            usual,
            own,
            Answers(array["outputs"], array["calibration"]),
            Answers(array["hardening_outputs"], array["hardening"]),
        )
        if len(witness.classes) < 2:
            raise ValueError("the witness tells no classes apart")
        return witness
