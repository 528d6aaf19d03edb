"""Metrics of one method on the images of one column, each with a 95 % interval."""

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
from simdnn.paper.equations import judged_rightly

METRICS: Mapping[str, str] = {
    "accuracy": "accuracy of the network alone, all images",
    "eq_14": "detection rate, eq. (14): attacked images flagged or still labelled correctly; "
    "clean images labelled correctly and not flagged",
    "eq_14_at_1": "detection rate, eq. (14), at a false-alarm rate of 1 %",
    "flagged": "images flagged: of attacked images, those that fooled the network; of clean and harmlessly "
    "corrupted ones, all (the false-alarm rate)",
    "auroc": "AUROC, clean images against attacked images that fooled the network",
    "auroc_all": "AUROC, clean images against all attacked images",
    "aupr": "AUPR, attacked images that fooled the network against clean images",
    "tpr_at_1": "true-positive rate at a false-positive rate of 1 % on the clean test images, of attacked images that "
    "fooled the network",
    "tpr_at_5": "true-positive rate at a false-positive rate of 5 % on the clean test images, of attacked images that "
    "fooled the network",
}
"""Description of each metric, by its name."""

RESAMPLES = 400
"""Number of resamples of each bootstrap."""


@dataclass(frozen=True)
class MethodOutput:
    """Output of one method for N images.

    Attributes
    ----------
    label_correct : (N,) whether its label is the true one
    flagged : (N,) whether it flags the image as a possible attack
    flagged_at_1 : (N,) the same at a false-alarm rate of 1 %; None without a threshold for that
    scores : (N,) scores, high for clean; None for a method without a detector
    """

    label_correct: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    flagged_at_1: NDArray[np.bool_] | None = None
    scores: FloatArray | None = None


def measure(
    kind: str,
    output: MethodOutput,
    network_correct: NDArray[np.bool_],
    fooled: NDArray[np.bool_],
    clean: MethodOutput,
    classes: list[str],
    seed: int,
) -> dict[str, Any]:
    """Return all metrics that apply, as ``{name: {value, low, high, n}}``.

    Parameters
    ----------
    kind : ``"clean"``, ``"control"`` or ``"attack"``
    output : output of the method for N images
    network_correct : (N,) whether the bare network classifies the images correctly
    fooled : (N,) whether it misclassifies the images, but not their originals
    clean : output of the method for the clean test images
    classes : N true classes
    seed : seed of the bootstrap

    Returns
    -------
    dict
        Metrics by their names in `METRICS`; for a detector also ``per_class``, for each class the numbers of images
        flagged and of images.
    """
    attacked = kind == "attack"
    metrics: dict[str, tuple[Estimate, int]] = {"accuracy": _rate(network_correct)}
    for name, flagged in (("eq_14", output.flagged), ("eq_14_at_1", output.flagged_at_1)):
        if flagged is not None:
            metrics[name] = _rate(judged_rightly(attacked, flagged, output.label_correct))
    counted = fooled if attacked else np.ones_like(fooled)
    if output.scores is None:
        return _plain(metrics)
    if counted.any():
        metrics["flagged"] = _rate(output.flagged[counted])
    if clean.scores is not None and kind != "clean":
        metrics["auroc_all"] = auroc(clean.scores, output.scores, seed=seed), len(fooled)
        if counted.sum() > 1:
            metrics |= _curves(clean.scores, output.scores[counted], seed)
    return _plain(metrics) | {"per_class": _per_class(output.flagged[counted], np.array(classes)[counted])}


def aupr(clean: ArrayLike, attacked: ArrayLike, *, seed: int = 0) -> Estimate:
    """Return the area under the precision-recall curve; attacked images are the positives."""
    return _bootstrapped(_average_precision, clean, attacked, seed)


def tpr_at_fpr(fpr: float, clean: ArrayLike, attacked: ArrayLike, *, seed: int = 0) -> Estimate:
    """Return the true-positive rate at a false-positive rate.

    The threshold is the largest clean score that has at most a share ``fpr`` of the clean scores strictly below it. The
    bootstrap resamples the clean images as well.

    >>> tpr_at_fpr(0.25, [1, 2, 3, 4], [0, 1, 2, 3]).value
    0.5
    """

    def tpr(clean: FloatArray, attacked: FloatArray) -> float:
        ordered = np.sort(clean)
        return float((attacked < ordered[int(fpr * len(ordered) + 1e-9)]).mean())

    return _bootstrapped(tpr, clean, attacked, seed)


def _curves(clean: FloatArray, attacked: FloatArray, seed: int) -> dict[str, tuple[Estimate, int]]:
    n = len(attacked)
    return {
        "auroc": (auroc(clean, attacked, seed=seed), n),
        "aupr": (aupr(clean, attacked, seed=seed), n),
        "tpr_at_1": (tpr_at_fpr(0.01, clean, attacked, seed=seed), n),
        "tpr_at_5": (tpr_at_fpr(0.05, clean, attacked, seed=seed), n),
    }


def _average_precision(clean: FloatArray, attacked: FloatArray) -> float:
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
    """Return, for each class, the numbers of images flagged and of images."""
    return {
        str(name): [int(flagged[classes == name].sum()), int((classes == name).sum())]
        for name in np.unique(classes)
    }


def _plain(metrics: Mapping[str, tuple[Estimate, int]]) -> dict[str, Any]:
    return {name: estimate._asdict() | {"n": n} for name, (estimate, n) in metrics.items()}
