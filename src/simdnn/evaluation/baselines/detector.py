"""The interface of a detector in the benchmark."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import FloatArray
from simdnn.errors import InputError
from simdnn.evaluation.baselines import BASELINES
from simdnn.evaluation.baselines.inputs import BaselineInput
from simdnn.networks.backbone import Backbone


class Detector(Protocol):
    """A detector: fitted to clean images only, it scores images.

    Attributes
    ----------
    name : its name in tables, such as ``"kNN"``
    paper : authors, title and year of its paper, and departures from it
    """

    name: ClassVar[str]
    paper: ClassVar[str]

    def fit(self, network: Backbone, clean: BaselineInput, labels: NDArray[np.int64]) -> None:
        """Learn from N clean images.

        Parameters
        ----------
        network : the protected network, for detectors that run it on transformed images as well
        clean : the images, with the network's logits and features
        labels : (N,) true classes, 0 to C - 1 in the sorted order of the classes' names; these need not be the
            network's outputs
        """
        ...

    def score(self, network: Backbone, images: BaselineInput) -> FloatArray:
        """Return (N,) scores, high for clean; the score of an image must not depend on the other images."""
        ...


def find_detector(name: str) -> Callable[[], Detector]:
    """Import the factory of a detector: one of `BASELINES`, or ``package.module:Detector``.

    Raises
    ------
    InputError
        If it cannot be imported.
    """
    module, _, attribute = BASELINES.get(name, name).partition(":")
    try:
        make: Callable[[], Detector] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        if name in BASELINES:
            raise
        raise InputError(
            f"expected {name!r} to name a detector, got {type(error).__name__}: {error}; is its folder on PYTHONPATH?"
        ) from error
    return make
