"""What Sim-DNN learned, as plain arrays and back: the content of a guard file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import MinMaxScaler

from simdnn.core.estimator import SimDNN
from simdnn.core.learning import ClassModel
from simdnn.core.moments import Moments

Tensors = dict[str, NDArray[Any]]

PARAMETERS = ("rule", "alpha", "m", "sigma", "random_state")
PROTOTYPE_FIELDS = ("vectors", "support", "scatter", "exemplars", "exemplar_vectors", "serials")


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
    """Undo :func:`pack_model`."""
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
    return SimDNN(calibration=0.0, **header["parameters"]).restore(
        classes, tensors["calibration_samples"], np.array(header["calibration_labels"], dtype=str)
    )


def pack_scaler(scaler: MinMaxScaler) -> Tensors:
    """Return the range of every feature, which is all that a scaler knows."""
    return {"feature_min": scaler.data_min_, "feature_max": scaler.data_max_}


def unpack_scaler(tensors: Mapping[str, NDArray[Any]]) -> MinMaxScaler:
    """Undo :func:`pack_scaler`."""
    scaler: MinMaxScaler = MinMaxScaler().fit(np.stack([tensors["feature_min"], tensors["feature_max"]]))
    return scaler
