"""A guard of a few hundred bytes of numbers, made without a network, and files like it that lie."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from simdnn.rules.statistics import SimilarityProfile
from sklearn.preprocessing import MinMaxScaler

from simdnn.guard import file as guard_file
from simdnn.guard.exemplars import exemplar
from simdnn.guard.guard import Guard
from simdnn.guard.training import Training
from simdnn.images.preprocess import Preprocess
from simdnn.images.shifts import Shift
from simdnn.networks.backbone import BackboneSpec
from simdnn.networks.record import NetworkRecord
from simdnn.paper.estimator import SimDNN
from simdnn.rules.auxiliary import Answers, Witness
from simdnn.rules.profile import GuardProfile

Content = tuple[dict[str, Any], dict[str, np.ndarray[Any, np.dtype[Any]]]]


def small_guard() -> Guard:
    """Two classes of three features; ten images calibrate, and the rule is the profile, with a witness."""
    rng = np.random.default_rng(0)
    features = rng.random((20, 3), dtype=np.float32) + np.repeat([[0], [2]], 10, axis=0).astype(np.float32)
    labels = np.repeat(["cat", "dog"], 10)
    scaler = MinMaxScaler().fit(features)
    model = SimDNN(alpha=0.2, calibration=0.0).fit(scaler.transform(features), labels)
    model.calibrate(scaler.transform(features[::2]), labels[::2])
    spec = BackboneSpec("mine", None, (), Preprocess(size=(8, 8), resize=None))
    picture = Image.new("RGB", (2, 2), "red")
    shown = {p.exemplar: exemplar(picture, f"{p.exemplar}.png") for p in model.prototypes_}
    training = Training("photos", 20, 10, ("bad.png",), 0, "2026-01-01T00:00:00+00:00")
    said = Answers(np.arange(20) % 2, np.eye(3, dtype=np.float32)[np.arange(20) // 10])
    held, changed = (Answers(said.outputs[:n], said.logits[:n]) for n in (10, 5))
    witness = Witness.learn(said, labels, 2, held, changed)
    clean = SimilarityProfile.learn(rng.random((20, 6)), rng.random(20), rng.random(20))
    hardening = scaler.transform(features[:5])
    profile = GuardProfile(
        (Shift(right=1),), clean, rng.random((10, 6)), rng.random((5, 6)), hardening, witness
    )
    record = NetworkRecord(spec, "ab" * 32, ("x", "y"))
    return Guard([record, record], scaler, model, shown, training, profile)


def content(folder: Path) -> Content:
    """Header and tensors of the small guard's file, to be changed."""
    small_guard().save(folder / "small.simdnn")
    header, tensors = guard_file.read(folder / "small.simdnn")
    return copy.deepcopy(header), {name: array.copy() for name, array in tensors.items()}


def use(guard: Guard) -> None:
    """Do with a guard all that needs no network."""
    assert len(guard.model_id) == 16
    rules = [guard.rule, "similarity"]
    if len(guard.model.calibration_samples_) > guard.model.m**2:
        rules.append("published")
    assert np.isfinite([guard.threshold(rule) for rule in rules]).all()
    detection = guard.model.detect(np.zeros((1, guard.model.n_features_in_)))
    assert np.isfinite(detection.scores).all()
    assert detection.labels[0] in guard.classes
    for prototype in guard.model.prototypes:
        assert guard.model.prototypes[prototype.id] == prototype
        assert isinstance(guard.exemplar(prototype.exemplar).name, str)
    guard.model.prototypes.add("new", np.zeros(guard.model.n_features_in_))
