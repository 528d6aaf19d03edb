"""A guard of a few hundred bytes of numbers, made without a network, and files like it that lie."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from simdnn.guard import file as guard_file
from simdnn.guard.exemplars import exemplar
from simdnn.guard.guard import Guard
from simdnn.guard.settings import Settings
from simdnn.guard.training import Training
from simdnn.images.preprocess import Preprocess
from simdnn.images.shifts import Shift
from simdnn.networks.auxiliary_record import AuxiliaryRecord
from simdnn.networks.record import NetworkRecord
from simdnn.networks.spec import BackboneSpec
from simdnn.paper.model import SimilarityModel
from simdnn.rules.calibration import CalibrationSet
from simdnn.rules.inputs import RuleInput
from simdnn.rules.profile_and_opinion import ProfileAndOpinionRule
from simdnn.rules.rule import LearnedImages
from simdnn.rules.view_statistics import STATISTICS, ViewStatistics

Content = tuple[dict[str, Any], dict[str, np.ndarray[Any, np.dtype[Any]]]]


def small_guard() -> Guard:
    """Two classes of three features; ten images and five copies calibrate the profile, with an auxiliary network."""
    rng = np.random.default_rng(0)
    features = rng.random((20, 3), dtype=np.float32) + np.repeat([[0], [2]], 10, axis=0).astype(np.float32)
    labels = np.repeat(["cat", "dog"], 10)
    model = SimilarityModel.learn(features, labels)
    logits = np.eye(2, dtype=np.float32)[np.arange(20) % 2]
    votes = np.array([[7, 1, 0], [2, 6, 0]])[np.arange(20) // 10]
    views = ViewStatistics(**{name: rng.random(20) for name in STATISTICS})
    classes = ("cat", "dog", "owl")
    held_out = np.r_[0:20:2, 0:10:2]
    calibration = CalibrationSet(
        features[held_out],
        logits[held_out],
        votes[held_out],
        views.take(held_out),
        ("",) * 10 + ("blurred",) * 5,
        tuple(f"{i:064x}" for i in held_out),
    )
    rule = ProfileAndOpinionRule(model, calibration, (Shift(right=1),))
    seen = RuleInput(features, logits, logits.argmax(axis=1), model.similarities(features), votes / 8, views)
    rule.learn(LearnedImages(labels, logits, classes, seen))
    secret = "5e" * 32
    spec = BackboneSpec("mine", None, (), Preprocess(size=(8, 8), resize=None))
    picture = Image.new("RGB", (2, 2), "red")
    return Guard(
        networks=(NetworkRecord(spec, "ab" * 32, ("x", "y")),),
        auxiliary=AuxiliaryRecord("second.safetensors", "cd" * 32, classes, secret, 8),
        settings=Settings(rule="profile+opinion", alpha=0.2),
        model=model,
        calibration=calibration,
        learned=np.arange(20),
        rule=rule,
        exemplars={p.exemplar: exemplar(picture, f"{p.exemplar}.png") for p in model.prototypes},
        training=Training("photos", 20, 10, ("bad.png",), 0, "2026-01-01T00:00:00+00:00", known=3),
    )


def content(folder: Path) -> Content:
    """Header and tensors of the small guard's file, to be changed."""
    small_guard().save(folder / "small.simdnn")
    header, tensors = guard_file.read(folder / "small.simdnn")
    return copy.deepcopy(header), {name: array.copy() for name, array in tensors.items()}


def use(guard: Guard) -> None:
    """Do with a guard all that needs no network."""
    assert len(guard.model_id) == 16
    rules = [guard.settings.rule, "similarity"]
    if len(guard.calibration) > guard.settings.m**2:
        rules.append("published")
    assert np.isfinite([guard.threshold(rule) for rule in rules]).all()
    width = guard.model.prototypes.n_features
    similarities = guard.model.similarities(np.zeros((1, width), dtype=np.float32))
    assert np.isfinite(similarities).all()
    assert guard.model.labels(similarities)[0] in guard.classes
    assert np.isfinite(list(guard.rule.explain(guard.calibration.inputs(guard.model))[0].values())).all()
    for prototype in guard.model.prototypes:
        assert guard.model.prototypes[prototype.id] == prototype
        assert isinstance(guard.exemplar(prototype.exemplar).name, str)
    guard.model.prototypes.add("new", np.zeros(width))
