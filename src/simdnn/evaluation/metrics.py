"""What is said of a detector on one group of images; every value has a 95 % interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap
from sklearn.metrics import average_precision_score

from simdnn.arrays import FloatArray
from simdnn.evaluation.intervals import LEVEL, Estimate, auroc, rate

METRICS: Mapping[str, str] = {
    "accuracy": "labelled correctly by the network, all images",
    "eq_14": "detection rate, eq. (14): attacked images flagged or still labelled correctly, all images; "
    "clean ones labelled correctly and not flagged",
    "eq_14_at_1": "the same at 1 % false alarms",
    "flagged": "flagged; of attacked images those that fooled the network, of others all",
    "auroc": "AUROC, clean against attacked images that fooled the network",
    "auroc_all": "AUROC, clean against all attacked images",
    "aupr": "AUPR, attacked images that fooled the network against clean ones",
    "tpr_at_1": "attacked images that fooled the network, flagged where 1 % of the clean test images are",
    "tpr_at_5": "attacked images that fooled the network, flagged where 5 % of the clean test images are",
}
"""Name of each metric, and what it is."""

RESAMPLES = 400
"""Of each bootstrap."""


@dataclass(frozen=True)
class Answer:
    """What one method made of N images.

    Attributes
    ----------
    right : (N,) whether the label that it delivers is the true one
    flagged : (N,) whether it withholds that label, as a possible attack
    flagged_at_1 : (N,) the same at 1 % false alarms; None where the method has one setting only
    scores : (N,) high is clean; None for a method that flags nothing
    """

    right: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    flagged_at_1: NDArray[np.bool_] | None = None
    scores: FloatArray | None = None


def measure(
    kind: str,
    answer: Answer,
    accurate: NDArray[np.bool_],
    fooled: NDArray[np.bool_],
    clean: Answer,
    classes: list[str],
    seed: int,
) -> dict[str, Any]:
    """Return every metric that makes sense, as ``{name: {value, low, high, n}}``.

    Parameters
    ----------
    kind : ``"clean"``, ``"control"`` or ``"attack"``
    answer : of the method, for N images
    accurate : (N,) whether the network alone labels the images rightly
    fooled : (N,) whether an attack turned the network's right answer into a wrong one
    clean : of the method, for the clean test images
    classes : N true classes
    seed : of the bootstrap
    """
    attacked = kind == "attack"
    found: dict[str, tuple[Estimate, int]] = {"accuracy": _rate(accurate)}
    for name, flagged in (("eq_14", answer.flagged), ("eq_14_at_1", answer.flagged_at_1)):
        if flagged is not None:
            found[name] = _rate(flagged | answer.right if attacked else ~flagged & answer.right)
    counted = fooled if attacked else np.ones_like(fooled)
    if answer.scores is None:
        return _plain(found)
    if counted.any():
        found["flagged"] = _rate(answer.flagged[counted])
    if clean.scores is not None and kind != "clean":
        found["auroc_all"] = auroc(clean.scores, answer.scores, seed=seed), len(fooled)
        if counted.sum() > 1:
            found |= _curves(clean.scores, answer.scores[counted], seed)
    return _plain(found) | {"per_class": _per_class(answer.flagged[counted], np.array(classes)[counted])}


def precision_area(clean: ArrayLike, attacked: ArrayLike, *, seed: int = 0) -> Estimate:
    """Return the area under the precision-recall curve, attacked images being the ones to find."""
    return _bootstrapped(_precision_area, clean, attacked, seed)


def caught_at(false_alarms: float, clean: ArrayLike, attacked: ArrayLike, *, seed: int = 0) -> Estimate:
    """Return the share of attacked images that score below the threshold under which that share of clean ones lies.

    The threshold is the lowest score that keeps the share of clean images strictly below it within
    ``false_alarms``; the bootstrap draws clean images anew as well.

    >>> caught_at(0.25, [1, 2, 3, 4], [0, 1, 2, 3]).value
    0.5
    """

    def caught(clean: FloatArray, attacked: FloatArray) -> float:
        ordered = np.sort(clean)
        return float((attacked < ordered[int(false_alarms * len(ordered) + 1e-9)]).mean())

    return _bootstrapped(caught, clean, attacked, seed)


def _curves(clean: FloatArray, attacked: FloatArray, seed: int) -> dict[str, tuple[Estimate, int]]:
    n = len(attacked)
    return {
        "auroc": (auroc(clean, attacked, seed=seed), n),
        "aupr": (precision_area(clean, attacked, seed=seed), n),
        "tpr_at_1": (caught_at(0.01, clean, attacked, seed=seed), n),
        "tpr_at_5": (caught_at(0.05, clean, attacked, seed=seed), n),
    }


def _precision_area(clean: FloatArray, attacked: FloatArray) -> float:
    truth = np.repeat([0, 1], [len(clean), len(attacked)])
    return float(average_precision_score(truth, -np.concatenate([clean, attacked])))


def _bootstrapped(
    statistic: Callable[[FloatArray, FloatArray], float], clean: ArrayLike, attacked: ArrayLike, seed: int
) -> Estimate:
    groups = (np.asarray(clean, dtype=np.float64), np.asarray(attacked, dtype=np.float64))
    drawn = bootstrap(
        groups,
        statistic,
        n_resamples=RESAMPLES,
        confidence_level=LEVEL,
        method="percentile",
        vectorized=False,
        rng=np.random.default_rng(seed),
    )
    interval = drawn.confidence_interval
    return Estimate(statistic(*groups), float(interval.low), float(interval.high))


def _rate(events: NDArray[np.bool_]) -> tuple[Estimate, int]:
    return rate(int(events.sum()), len(events)), len(events)


def _per_class(flagged: NDArray[np.bool_], classes: NDArray[np.str_]) -> dict[str, list[int]]:
    """Return, for each class, how many images were flagged, of how many."""
    return {
        str(name): [int(flagged[classes == name].sum()), int((classes == name).sum())]
        for name in np.unique(classes)
    }


def _plain(found: Mapping[str, tuple[Estimate, int]]) -> dict[str, Any]:
    return {name: estimate._asdict() | {"n": n} for name, (estimate, n) in found.items()}
