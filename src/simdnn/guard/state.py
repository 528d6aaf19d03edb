"""What Sim-DNN learned, as plain arrays and back: the content of a guard file.

Nothing that comes back is believed: a file may carry a valid digest and still hold nonsense.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import MinMaxScaler

from simdnn.paper.estimator import LARGEST, SimDNN
from simdnn.paper.learning import ClassModel
from simdnn.paper.moments import Moments

Tensors = dict[str, NDArray[Any]]

PARAMETERS = ("rule", "alpha", "m", "sigma", "random_state")
PROTOTYPE_FIELDS = ("vectors", "support", "scatter", "exemplars", "exemplar_vectors", "serials")

SHAPES = {
    "class_sizes": "C",
    "class_means": "Cn",
    "class_counts": "C",
    "class_scatters": "C",
    "class_next_serials": "C",
    "vectors": "Mn",
    "support": "M",
    "scatter": "M",
    "exemplars": "M",
    "exemplar_vectors": "Mn",
    "serials": "M",
    "calibration_samples": "kn",
    "feature_min": "n",
    "feature_max": "n",
}
"""Sides of each array: C classes, n features, M prototypes, k calibration images."""

WHOLE = {"class_sizes", "class_counts", "class_next_serials", "support", "exemplars", "serials"}
SIGNED = {"vectors", "exemplar_vectors", "class_means", "calibration_samples", "feature_min", "feature_max"}
MOST = 2**53
"""The highest whole number that makes sense here."""


def pack_model(model: SimDNN) -> tuple[dict[str, Any], Tensors]:
    """Return a fitted estimator with text labels as a JSON-able header and arrays."""
    prototypes = model.prototypes_
    classes = list(prototypes.classes.values())
    tensors: Tensors = {
        name: np.concatenate([getattr(one, name) for one in classes]) for name in PROTOTYPE_FIELDS
    }
    tensors |= {
        "class_sizes": np.array([len(one) for one in classes]),
        "class_means": np.stack([one.moments.mean for one in classes]),
        "class_counts": np.array([one.moments.count for one in classes]),
        "class_scatters": np.array([one.moments.scatter for one in classes]),
        "class_next_serials": np.array([one.next_serial for one in classes]),
        "calibration_samples": model.calibration_samples_,
    }
    header = {
        "parameters": {name: getattr(model, name) for name in PARAMETERS},
        "classes": list(prototypes.classes),
        "calibration_labels": [str(label) for label in model.calibration_labels_],
    }
    return header, tensors


def unpack_model(header: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> SimDNN:
    """Undo :func:`pack_model`; ValueError if the parts do not fit together."""
    _check(header, tensors)
    ends = np.cumsum(tensors["class_sizes"])[:-1]
    parts = {name: np.split(tensors[name], ends) for name in PROTOTYPE_FIELDS}
    classes = {
        str(label): ClassModel(
            Moments(
                tensors["class_means"][c].copy(),
                int(tensors["class_counts"][c]),
                float(tensors["class_scatters"][c]),
            ),
            next_serial=int(tensors["class_next_serials"][c]),
            **{name: parts[name][c].copy() for name in PROTOTYPE_FIELDS},
        )
        for c, label in enumerate(header["classes"])
    }
    model = SimDNN(calibration=0.0, **header["parameters"])
    model.check_parameters()
    return model.restore(
        classes, tensors["calibration_samples"], np.array(header["calibration_labels"], dtype=str)
    )


def pack_scaler(scaler: MinMaxScaler) -> Tensors:
    """Return the range of every feature, which is all that a scaler knows."""
    return {"feature_min": scaler.data_min_, "feature_max": scaler.data_max_}


def unpack_scaler(tensors: Mapping[str, NDArray[Any]]) -> MinMaxScaler:
    """Undo :func:`pack_scaler`."""
    scaler: MinMaxScaler = MinMaxScaler().fit(np.stack([tensors["feature_min"], tensors["feature_max"]]))
    return scaler


def _check(header: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> None:
    sides: dict[str, int] = {"C": len(header["classes"]), "k": len(header["calibration_labels"])}
    for name, letters in SHAPES.items():
        lowest = -LARGEST if name in SIGNED else -1 if name == "exemplars" else 0
        kind, highest = ("i", MOST) if name in WHOLE else ("f", LARGEST)
        check_array(name, tensors, letters, sides, kind, (lowest, highest))
    labels = [*header["classes"], *header["calibration_labels"]]
    if not all(isinstance(label, str) for label in labels) or len(set(header["classes"])) != sides["C"]:
        raise ValueError("the classes are not different texts")
    if not sides["n"] or not sides["M"] or tensors["class_sizes"].sum() != sides["M"]:
        raise ValueError("the classes do not share out the prototypes")
    if not tensors["support"].all() or (tensors["feature_max"] < tensors["feature_min"]).any():
        raise ValueError("a prototype without support, or a feature whose range is empty")
    owner = np.repeat(np.arange(sides["C"]), tensors["class_sizes"])
    ids = set(zip(owner.tolist(), tensors["serials"].tolist(), strict=True))
    if len(ids) != sides["M"] or (tensors["serials"] >= tensors["class_next_serials"][owner]).any():
        raise ValueError("two prototypes have the same number, or one that is yet to be given")


def check_array(
    name: str,
    tensors: Mapping[str, NDArray[Any]],
    letters: str,
    sides: dict[str, int],
    kind: str,
    limits: tuple[float, float],
) -> None:
    """Hold an array's type, shape and range against what belongs there.

    Parameters
    ----------
    name, tensors : where it is
    letters : one for each side, as in `SHAPES`
    sides : lengths by letter; those not yet known are learned
    kind : ``"i"`` for whole numbers, ``"f"`` for others
    limits : the lowest and the highest number that may be there

    Raises
    ------
    ValueError
        If it does not belong there.
    """
    array = tensors[name]
    if array.dtype.kind != kind or array.ndim != len(letters):
        raise ValueError(f"{name} is {array.dtype} with {array.ndim} dimensions")
    for letter, side in zip(letters, array.shape, strict=True):
        if sides.setdefault(letter, side) != side:
            raise ValueError(f"{name} has the shape {array.shape}, expected {sides[letter]} for {letter}")
    values, (lowest, highest) = array.astype(np.float64), limits
    if not ((values >= lowest) & (values <= highest)).all():  # NaN fails too
        raise ValueError(f"{name} holds a number that is missing, or out of range")
