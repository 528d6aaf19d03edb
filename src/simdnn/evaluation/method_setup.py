"""The network, the clean images and the test images that methods are fitted to and evaluated on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from simdnn.errors import InputError
from simdnn.evaluation.baselines.inputs import BaselineInput, baseline_input
from simdnn.evaluation.metrics import MethodOutput
from simdnn.guard.guard import Guard
from simdnn.networks.auxiliary import read_auxiliary
from simdnn.networks.backbone import Backbone
from simdnn.networks.extractor import Extractor
from simdnn.paper.holdout import calibration_mask
from simdnn.rules.profile import ProfileRule
from simdnn.rules.registry import find_rule

CALIBRATION = 0.2
"""Share of the clean images that calibrate thresholds; the same images for every detector."""


class TestImages:
    """Images (N, 3, H, W) in [0, 1]; the network's logits and features for them are computed on first use."""

    __test__ = False  # not a test class, despite its name

    def __init__(self, network: Backbone, pixels: Tensor) -> None:
        self.network = network
        self.pixels = pixels

    @cached_property
    def baseline_input(self) -> BaselineInput:
        """The images with features and logits."""
        return baseline_input(self.network, self.pixels)


@dataclass(frozen=True)
class MethodSetup:
    """The protected network, and the clean images that a method is fitted to.

    Attributes
    ----------
    network : the protected network, with the features of the layers that baselines use
    extractor : the same network for Sim-DNN, with the penultimate features
    fit : CSV file of the clean images
    clean : these images, with logits and features
    labels : (N,) names of their classes
    classes : names of all classes in sorted order
    outputs : (C,) the network's output for each class
    weights : folder with the weights of defences
    auxiliary : file of the auxiliary network for a second opinion, if there is one
    seed : seed of all random numbers
    alpha : false-alarm rate of the thresholds, in (0, 1)
    """

    network: Backbone
    extractor: Extractor
    fit: Path
    clean: BaselineInput
    labels: NDArray[np.str_]
    classes: tuple[str, ...]
    outputs: NDArray[np.int64]
    weights: Path
    auxiliary: Path | None
    seed: int
    alpha: float

    @cached_property
    def calibrates(self) -> NDArray[np.bool_]:
        """(N,) True for the clean images that calibrate thresholds, and are not learned."""
        return calibration_mask(self.labels, CALIBRATION, self.seed)

    @cached_property
    def _guards(self) -> dict[tuple[str, str], Guard]:
        return {}

    def guard(self, rule: str, level: str) -> Guard:
        """Return the guard of one level of a rule, fitted on first use; one of the profile has the simpler rules, too.

        Raises
        ------
        InputError
            If the rule asks for a second opinion, and there is no auxiliary network.
        """
        asks = find_rule(rule).uses_auxiliary
        fitted = rule if asks else ProfileRule.name
        if (fitted, level) not in self._guards:
            self._guards[fitted, level] = Guard.fit(
                self.fit,
                self._with_opinion if asks else self.extractor,
                rule=fitted,
                level=level,
                alpha=self.alpha,
                calibration=CALIBRATION,
                seed=self.seed,
                view_seed=self.seed,
            )
        return self._guards[fitted, level]

    @cached_property
    def _with_opinion(self) -> Extractor:
        if self.auxiliary is None:
            raise InputError(
                "a second opinion needs an auxiliary network; name its file as the network's 'auxiliary'"
            )
        return Extractor(
            self.extractor.backbones, cache=self.extractor.cache, auxiliary=read_auxiliary(self.auxiliary)
        )


class Method(Protocol):
    """One row of a table, made from a :class:`MethodSetup`."""

    def evaluate(self, images: TestImages, truth: NDArray[np.str_]) -> MethodOutput:
        """Label N images, and flag attacks among them; ``truth`` (N,) is used only to check the labels."""
        ...
