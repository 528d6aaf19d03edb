"""The witness of a hardened guard: what Sim-DNN learned of a second network, one that is hard to move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import MinMaxScaler

from simdnn.core.equations import FloatArray
from simdnn.core.estimator import LARGEST, SimDNN
from simdnn.core.witness import class_similarities, disagreement, usual_classes
from simdnn.guard.state import check_array, pack_model, pack_scaler, unpack_model, unpack_scaler

PREFIX = "witness_"
SHAPES = {"calibration": "kn", "hardening": "hn", "outputs": "k", "hardening_outputs": "h"}
"""Sides of each array in the guard file: k and h images, n features of the witness."""


@dataclass(frozen=True)
class Answers:
    """What the protected network and the witness say of N images.

    Attributes
    ----------
    outputs : (N,) the network's answers
    features : (N, w) the witness's features, as it gives them
    """

    outputs: NDArray[np.int64]
    features: NDArray[np.float32]


@dataclass(frozen=True)
class Witness:
    """What Sim-DNN learned of the second network, and what it says of the images that calibrate.

    Attributes
    ----------
    scaler, model : as those of the guard, for the witness's features
    usual : class that each output of the protected network stands for; empty where it never came on a clean image
    calibration, hardening : of the images that calibrate, and of those changed harmlessly
    """

    scaler: MinMaxScaler
    model: SimDNN
    usual: tuple[str, ...]
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
        """Learn prototypes of the witness's features from N clean images with their ``labels`` (N,)."""
        scaler = MinMaxScaler().fit(learned.features)
        model = SimDNN(calibration=0.0).fit(scaler.transform(learned.features), labels)
        usual = usual_classes(learned.outputs, labels, n_outputs)
        return cls(scaler, model, usual, calibration, hardening)

    def disagreement(self, said: Answers, labels: NDArray[np.str_]) -> FloatArray:
        """Return how far the witness is from Sim-DNN's labels (N,) and from the network's answers: (N,).

        See :func:`simdnn.core.witness.disagreement`.
        """
        prototypes = self.model.prototypes_
        similarities = prototypes.similarity(self.scaler.transform(said.features))
        places = {str(label): place for place, label in enumerate(self.model.classes_)}
        told = [*labels.tolist(), *(self.usual[output] for output in said.outputs)]
        answers = np.array([places.get(label, -1) for label in told], dtype=np.int64).reshape(2, -1).T
        return disagreement(class_similarities(similarities, prototypes.labels, self.model.classes_), answers)

    def add(self, label: str, features: NDArray[np.float32]) -> None:
        """Make the features (1, w) of an image a prototype of a class, known or new."""
        (scaled,) = self.scaler.transform(features)
        self.model.prototypes_.add(label, scaled)

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return a header and arrays for the guard file."""
        header, tensors = pack_model(self.model)
        tensors |= pack_scaler(self.scaler) | {
            "calibration": self.calibration.features,
            "outputs": self.calibration.outputs,
            "hardening": self.hardening.features,
            "hardening_outputs": self.hardening.outputs,
        }
        return {"model": header, "usual": list(self.usual)}, {
            PREFIX + name: array for name, array in tensors.items()
        }

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
        own = {name.removeprefix(PREFIX): array for name, array in tensors.items() if name.startswith(PREFIX)}
        model, usual = unpack_model(header["model"], own), tuple(header["usual"])
        if not all(isinstance(label, str) for label in usual):
            raise ValueError("expected texts for the classes that outputs stand for")
        sides = {"k": images[0], "h": images[1], "n": model.n_features_in_}
        for name, letters in SHAPES.items():
            kind, limits = ("f", (-LARGEST, LARGEST)) if "n" in letters else ("i", (0, len(usual) - 1))
            check_array(name, own, letters, sides, kind, limits)
        return cls(
            unpack_scaler(own),
            model,
            usual,
            Answers(own["outputs"], own["calibration"]),
            Answers(own["hardening_outputs"], own["hardening"]),
        )
