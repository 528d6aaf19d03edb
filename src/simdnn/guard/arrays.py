"""The arrays of a guard file: what Sim-DNN learned, packed and unpacked.

Nothing that comes back is believed: a file may carry a valid digest and still hold nonsense.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simdnn.networks.auxiliary_record import AuxiliaryRecord
from simdnn.paper.learning import ClassModel
from simdnn.paper.model import SimilarityModel
from simdnn.paper.moments import Moments
from simdnn.paper.parameters import LARGEST
from simdnn.paper.prototypes import PrototypeSet, SigmaKind
from simdnn.paper.scaling import FeatureRange
from simdnn.rules.calibration import CalibrationSet
from simdnn.rules.view_statistics import STATISTICS, ViewStatistics

Arrays = dict[str, NDArray[Any]]

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
    "feature_min": "n",
    "feature_max": "n",
    "calibration_features": "kn",
    "calibration_logits": "kK",
    "calibration_votes": "kc",
    "learned_images": "L",
}
"""Sides of each array: C classes, n features, M prototypes, k calibration images, K outputs, c auxiliary outputs, L
images learned."""

VIEW_SHAPES = {f"calibration_{name}": "k" for name in STATISTICS}

WHOLE = {
    "class_sizes",
    "class_counts",
    "class_next_serials",
    "support",
    "exemplars",
    "serials",
    "calibration_votes",
    "learned_images",
}
UNSIGNED = {"class_scatters", "scatter"}
MOST = 2**53
"""The highest whole number that makes sense here."""


def pack_model(model: SimilarityModel) -> Arrays:
    """Return prototypes and feature ranges as arrays."""
    classes = list(model.prototypes.classes.values())
    arrays: Arrays = {
        name: np.concatenate([getattr(one, name) for one in classes]) for name in PROTOTYPE_FIELDS
    }
    return arrays | {
        "class_sizes": np.array([len(one) for one in classes]),
        "class_means": np.stack([one.moments.mean for one in classes]),
        "class_counts": np.array([one.moments.count for one in classes]),
        "class_scatters": np.array([one.moments.scatter for one in classes]),
        "class_next_serials": np.array([one.next_serial for one in classes]),
        "feature_min": model.scaling.low,
        "feature_max": model.scaling.high,
    }


def unpack_model(
    classes: Sequence[str], arrays: Mapping[str, NDArray[Any]], sigma: SigmaKind
) -> SimilarityModel:
    """Undo :func:`pack_model`, once :func:`check_arrays` has found the arrays sound."""
    ends = np.cumsum(arrays["class_sizes"])[:-1]
    parts = {name: np.split(arrays[name], ends) for name in PROTOTYPE_FIELDS}
    prototypes = PrototypeSet(arrays["vectors"].shape[1], sigma)
    for c, label in enumerate(classes):
        prototypes.classes[label] = ClassModel(
            Moments(
                arrays["class_means"][c].copy(),
                int(arrays["class_counts"][c]),
                float(arrays["class_scatters"][c]),
            ),
            next_serial=int(arrays["class_next_serials"][c]),
            **{name: parts[name][c].copy() for name in PROTOTYPE_FIELDS},
        )
    return SimilarityModel(FeatureRange(arrays["feature_min"], arrays["feature_max"]), prototypes)


def pack_calibration(calibration: CalibrationSet) -> Arrays:
    """Return what the networks gave for the calibration images."""
    arrays: Arrays = {
        "calibration_features": calibration.features,
        "calibration_logits": calibration.logits,
        "calibration_votes": calibration.votes,
    }
    if calibration.views is not None:
        arrays |= {f"calibration_{name}": getattr(calibration.views, name) for name in STATISTICS}
    return arrays


def unpack_calibration(
    arrays: Mapping[str, NDArray[Any]], corruption: tuple[str, ...], image_sha256: tuple[str, ...]
) -> CalibrationSet:
    """Undo :func:`pack_calibration`, once :func:`check_arrays` has found the arrays sound."""
    views = None
    if set(VIEW_SHAPES) <= set(arrays):
        views = ViewStatistics(**{name: arrays[f"calibration_{name}"] for name in STATISTICS})
    return CalibrationSet(
        arrays["calibration_features"],
        arrays["calibration_logits"],
        arrays["calibration_votes"],
        views,
        corruption,
        image_sha256,
    )


def check_arrays(arrays: Mapping[str, NDArray[Any]], *, classes: int, calibration: int, views: bool) -> None:
    """Hold every array's type, shape and range against what belongs there.

    Parameters
    ----------
    arrays : of the guard file
    classes, calibration : how many there are
    views : whether the rule looks at views

    Raises
    ------
    ValueError
        If one is missing or does not belong there.
    """
    sides = {"C": classes, "k": calibration}
    for name, letters in (SHAPES | (VIEW_SHAPES if views else {})).items():
        _check(name, arrays, letters, sides)
    if not sides["n"] or not sides["M"] or arrays["class_sizes"].sum() != sides["M"]:
        raise ValueError("the classes do not share out the prototypes")
    if not arrays["support"].all() or (arrays["feature_max"] < arrays["feature_min"]).any():
        raise ValueError("a prototype without support, or a feature whose range is empty")
    owner = np.repeat(np.arange(classes), arrays["class_sizes"])
    ids = set(zip(owner.tolist(), arrays["serials"].tolist(), strict=True))
    if len(ids) != sides["M"] or (arrays["serials"] >= arrays["class_next_serials"][owner]).any():
        raise ValueError("two prototypes have the same number, or one that is yet to be given")


def check_votes(votes: NDArray[Any], auxiliary: AuxiliaryRecord | None) -> None:
    """Raise ValueError unless each calibration image has the guard's draws, or there is no auxiliary network."""
    if auxiliary is None:
        if votes.shape[1]:
            raise ValueError("calibration_votes without an auxiliary network")
    elif votes.shape[1] != len(auxiliary.classes) or (votes.sum(axis=1) != auxiliary.draws).any():
        raise ValueError(f"calibration_votes are not {auxiliary.draws} draws of each image")


def _check(name: str, arrays: Mapping[str, NDArray[Any]], letters: str, sides: dict[str, int]) -> None:
    """Check one array; lengths of sides that are not known yet are learned."""
    array = arrays[name]
    kind = "i" if name in WHOLE else "f"
    if array.dtype.kind != kind or array.ndim != len(letters):
        raise ValueError(f"{name} is {array.dtype} with {array.ndim} dimensions")
    for letter, side in zip(letters, array.shape, strict=True):
        if sides.setdefault(letter, side) != side:
            raise ValueError(f"{name} has the shape {array.shape}, expected {sides[letter]} for {letter}")
    lowest = -LARGEST if kind == "f" and name not in UNSIGNED else -1 if name == "exemplars" else 0
    values = array.astype(np.float64)
    if not ((values >= lowest) & (values <= (LARGEST if kind == "f" else MOST))).all():  # NaN fails too
        raise ValueError(f"{name} holds a number that is missing, or out of range")
