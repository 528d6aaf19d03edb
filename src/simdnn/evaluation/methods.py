"""The rows of a table: networks alone, defended networks, and detectors, all asked in the same way."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from simdnn.arrays import FloatArray
from simdnn.attacks import predict
from simdnn.conformal.split import ConformalThreshold
from simdnn.errors import InputError
from simdnn.evaluation.baselines import PEERS, Detector, Observation, observe
from simdnn.evaluation.defences import DEFENCES, defended, reseed
from simdnn.evaluation.metrics import Answer
from simdnn.guard.fitting import calibration_mask
from simdnn.guard.guard import Guard
from simdnn.networks.backbone import Backbone
from simdnn.networks.classifier import Classifier
from simdnn.networks.extractor import Extractor
from simdnn.rules.profile import LEVELS

CALIBRATION = 0.2
"""Share of the clean images that sets the thresholds, the same images for every detector."""


class Images:
    """Test images (N, 3, H, W) in [0, 1], and what the bare network says of them, computed when it is asked for."""

    def __init__(self, network: Backbone, pixels: Tensor) -> None:
        self.network = network
        self.pixels = pixels

    @cached_property
    def observation(self) -> Observation:
        """Features and logits."""
        return observe(self.network, self.pixels)


@dataclass(frozen=True)
class Setting:
    """What a method learns from and is asked about.

    Attributes
    ----------
    network : the protected network, watched at the layers that detectors look at
    guarded : the same network as Sim-DNN takes it, watched before its head
    fit : CSV file of the clean images to learn from
    clean : what the network said of these, in their order
    labels : (N,) their classes' names
    classes : names in sorted order
    outputs : (C,) the network's output for each class
    weights : folder with the weights of defences
    seed, alpha : of every draw; false-alarm rate
    """

    network: Backbone
    guarded: Extractor
    fit: Path
    clean: Observation
    labels: NDArray[np.str_]
    classes: tuple[str, ...]
    outputs: NDArray[np.int64]
    weights: Path
    seed: int
    alpha: float

    @cached_property
    def held_out(self) -> NDArray[np.bool_]:
        """(N,) the clean images that set thresholds."""
        return calibration_mask(self.labels, CALIBRATION, self.seed)

    @cached_property
    def guards(self) -> dict[str, Guard]:
        """Guards by the level of their profile, made when they are asked for."""
        return {}

    def guard(self, level: str) -> Guard:
        """Return the guard of one level, fitted once."""
        if level not in self.guards:
            self.guards[level] = Guard.fit(
                self.fit,
                self.guarded,
                rule="profile",
                level=level,
                alpha=self.alpha,
                calibration=CALIBRATION,
                seed=self.seed,
                view_seed=self.seed,
            )
        return self.guards[level]


class Method(Protocol):
    """A row: made from a :class:`Setting`."""

    def answer(self, images: Images, truth: NDArray[np.str_]) -> Answer:
        """Answer N images, whose true labels are known."""
        ...


class Network:
    """A network that flags nothing: the protected one itself, or with a defence before it."""

    def __init__(self, setting: Setting, network: nn.Module) -> None:
        self.setting = setting
        self.network = network

    def answer(self, images: Images, truth: NDArray[np.str_]) -> Answer:
        """Right is what has the largest of all outputs where it belongs."""
        setting = self.setting
        reseed(self.network, setting.seed)  # so that no cell depends on those before it
        given = predict(self.network, images.pixels).numpy()
        expected = setting.outputs[np.searchsorted(setting.classes, truth)]
        return Answer(right=given == expected, flagged=np.zeros(len(truth), dtype=bool))


class Peer:
    """A detector beside the protected network; the network's label is the likeliest of the dataset's classes."""

    def __init__(self, setting: Setting, detector: Detector) -> None:
        self.setting = setting
        self.detector = detector
        learned, held_out = (_rows(setting.clean, m) for m in (~setting.held_out, setting.held_out))
        labels = np.searchsorted(setting.classes, setting.labels[~setting.held_out])
        detector.fit(setting.network, learned, labels)
        scores = finite(detector.score(setting.network, held_out))
        self.threshold = ConformalThreshold(scores, setting.alpha)
        self.strict = ConformalThreshold(scores, 0.01) if len(scores) >= 99 else None

    def answer(self, images: Images, truth: NDArray[np.str_]) -> Answer:
        """Flag by a split-conformal threshold."""
        setting = self.setting
        scores = finite(self.detector.score(setting.network, images.observation))
        best = images.observation.logits[:, setting.outputs].argmax(axis=1)
        return Answer(
            right=np.array(setting.classes)[best] == truth,
            flagged=scores < self.threshold.offset,
            flagged_at_1=None if self.strict is None else scores < self.strict.offset,
            scores=scores,
        )


class SimDNNRule:
    """Sim-DNN by one of its rules; the label is that of the most similar prototype, eq. (13)."""

    def __init__(self, setting: Setting, rule: str, level: str = "standard") -> None:
        self.guard = setting.guard(level)
        self.rule = rule

    def answer(self, images: Images, truth: NDArray[np.str_]) -> Answer:
        """Ask the guard."""
        verdicts = self.guard.check_tensors(images.pixels, rule=self.rule)
        scores = finite(np.array([np.nan if v.score is None else v.score for v in verdicts]))
        strict = None
        if self.rule != "published" and self.guard.training.calibrated >= 99:
            strict = scores < self.guard.threshold(self.rule, alpha=0.01)
        return Answer(
            right=np.array([verdict.label for verdict in verdicts]) == truth,
            flagged=np.array([verdict.verdict == "attack" for verdict in verdicts]),
            flagged_at_1=strict,
            scores=scores,
        )


def finite(scores: FloatArray) -> FloatArray:
    """Return the scores; ValueError if one of them is none."""
    if not np.isfinite(scores).all():
        raise ValueError(f"{int((~np.isfinite(scores)).sum())} of {len(scores)} scores are no finite numbers")
    return scores


def _rows(observation: Observation, chosen: NDArray[np.bool_]) -> Observation:
    return Observation(
        observation.pixels[torch.from_numpy(chosen)],
        observation.logits[chosen],
        {layer: values[chosen] for layer, values in observation.features.items()},
    )


def _defence(setting: Setting, name: str) -> Method:
    bare = Classifier(setting.network)
    return Network(setting, defended(name, bare, seed=setting.seed, weights=setting.weights))


def _peer(setting: Setting, make: Callable[[], Detector]) -> Method:
    return Peer(setting, make())


METHODS: Mapping[str, Callable[[Setting], Method]] = {
    "none": lambda setting: Network(setting, Classifier(setting.network)),
    **{name: partial(_defence, name=name) for name in DEFENCES},
    **{name: partial(_peer, make=make) for name, make in PEERS.items()},
    **{f"sim-dnn {rule}": partial(SimDNNRule, rule=rule) for rule in ("published", "similarity")},
    **{f"sim-dnn profile {level}": partial(SimDNNRule, rule="profile", level=level) for level in LEVELS},
}
"""Every row that a plan may name, besides detectors by their import path."""


def find_method(name: str) -> Callable[[Setting], Method]:
    """Return what makes a method: one of `METHODS`, or a detector of one's own, ``"package.module:Detector"``.

    Raises
    ------
    InputError
        If there is no such method, or the detector cannot be imported.
    """
    if name in METHODS:
        return METHODS[name]
    module, colon, factory = name.partition(":")
    if not colon:
        raise InputError(
            f"methods: expected one of {', '.join(METHODS)}, or package.module:Detector; got {name!r}"
        )
    try:
        make = getattr(importlib.import_module(module), factory)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"expected {name!r} to name a detector, got {type(error).__name__}: {error}; is its folder on PYTHONPATH?"
        ) from error
    return partial(_peer, make=make)
