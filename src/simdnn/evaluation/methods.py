"""The methods of a table: the network alone, defended networks, baselines, and Sim-DNN with each of its rules."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import nn

from simdnn.arrays import FloatArray
from simdnn.attacks import predict
from simdnn.conformal.split import ConformalThreshold
from simdnn.evaluation.baselines.detector import Detector, find_detector
from simdnn.evaluation.defences import defended, reseed
from simdnn.evaluation.method_setup import Method, MethodSetup, TestImages
from simdnn.evaluation.metrics import MethodOutput
from simdnn.evaluation.names import DEFENCES
from simdnn.networks.classifier import Classifier
from simdnn.rules.registry import find_rule

LOW_ALPHA = 0.01
"""A second false-alarm rate, which is measured if there are enough calibration images."""

FEWEST = 99
"""Calibration images that a conformal threshold at `LOW_ALPHA` needs."""


class NetworkMethod:
    """A network without a detector: the protected one, or one with a defence."""

    def __init__(self, setup: MethodSetup, network: nn.Module) -> None:
        self.setup = setup
        self.network = network

    def evaluate(self, images: TestImages, truth: NDArray[np.str_]) -> MethodOutput:
        """Flag nothing; a label is correct if the largest of all outputs is that of the true class."""
        setup = self.setup
        reseed(self.network, setup.seed)  # so that no cell depends on earlier ones
        outputs = predict(self.network, images.pixels).numpy()
        expected = setup.outputs[np.searchsorted(setup.classes, truth)]
        return MethodOutput(label_correct=outputs == expected, flagged=np.zeros(len(truth), dtype=bool))


class BaselineMethod:
    """A baseline detector with the protected network, whose label is the most probable of the dataset's classes."""

    def __init__(self, setup: MethodSetup, detector: Detector) -> None:
        self.setup = setup
        self.detector = detector
        learned, calibrating = setup.clean.rows(~setup.calibrates), setup.clean.rows(setup.calibrates)
        labels = np.searchsorted(setup.classes, setup.labels[~setup.calibrates])
        detector.fit(setup.network, learned, labels)
        scores = check_finite(detector.score(setup.network, calibrating))
        self.threshold = ConformalThreshold(scores, setup.alpha)
        self.low_threshold = ConformalThreshold(scores, LOW_ALPHA) if len(scores) >= FEWEST else None

    def evaluate(self, images: TestImages, truth: NDArray[np.str_]) -> MethodOutput:
        """Flag by a split-conformal threshold."""
        setup = self.setup
        scores = check_finite(self.detector.score(setup.network, images.baseline_input))
        likeliest = images.baseline_input.logits[:, setup.outputs].argmax(axis=1)
        return MethodOutput(
            label_correct=np.array(setup.classes)[likeliest] == truth,
            flagged=scores < self.threshold.offset,
            flagged_at_1=None if self.low_threshold is None else scores < self.low_threshold.offset,
            scores=scores,
        )


class SimDNNMethod:
    """Sim-DNN with one of its rules; the label is that of the most similar prototype, eq. (13)."""

    def __init__(self, setup: MethodSetup, rule: str, level: str = "standard") -> None:
        self.guard = setup.guard(rule, level)
        self.rule = rule

    def evaluate(self, images: TestImages, truth: NDArray[np.str_]) -> MethodOutput:
        """Use the guard's verdicts."""
        verdicts = self.guard.check_tensors(images.pixels, rule=self.rule)
        scores = check_finite(np.array([np.nan if v.score is None else v.score for v in verdicts]))
        flagged_at_1 = None
        if self.rule != "published" and self.guard.training.calibrated >= FEWEST:
            flagged_at_1 = scores < self.guard.threshold(self.rule, alpha=LOW_ALPHA)
        return MethodOutput(
            label_correct=np.array([verdict.label for verdict in verdicts]) == truth,
            flagged=np.array([verdict.verdict == "attack" for verdict in verdicts]),
            flagged_at_1=flagged_at_1,
            scores=scores,
        )


def find_method(name: str) -> Callable[[MethodSetup], Method]:
    """Return the factory of a method, from :class:`MethodSetup` to :class:`Method`.

    Parameters
    ----------
    name : one of :data:`simdnn.evaluation.names.METHODS`, or the import path of a detector

    Raises
    ------
    InputError
        If a detector cannot be imported.
    """
    if name == "none":
        return lambda setup: NetworkMethod(setup, Classifier(setup.network))
    if name in DEFENCES:
        return partial(_defence, name)
    family, _, rule = name.partition(" ")
    if family == "sim-dnn":
        rule, _, level = rule.partition(" ")
        return partial(SimDNNMethod, rule=rule, level=level or "standard")
    make = find_detector(name)
    return lambda setup: BaselineMethod(setup, make())


def asks_auxiliary(name: str) -> bool:
    """Return whether a method asks an auxiliary network."""
    family, _, rule = name.partition(" ")
    return family == "sim-dnn" and find_rule(rule.partition(" ")[0]).uses_auxiliary


def check_finite(scores: FloatArray) -> FloatArray:
    """Return the scores; ValueError if one of them is missing or infinite."""
    if not np.isfinite(scores).all():
        raise ValueError(f"{int((~np.isfinite(scores)).sum())} of {len(scores)} scores are no finite numbers")
    return scores


def _defence(name: str, setup: MethodSetup) -> Method:
    network = Classifier(setup.network)
    return NetworkMethod(setup, defended(name, network, seed=setup.seed, weights=setup.weights))
