"""The names that plans can use: methods, attacks with their parameters, defences and corruptions.

Names only, so that a plan can be read without importing the libraries of attacks and defences. Tests compare them with
the code.
"""

from __future__ import annotations

from collections.abc import Mapping

from simdnn.evaluation.baselines import BASELINES

DEFENCES = ("bart", "resupnet")
"""Defences, which transform the input of the network."""

METHODS = (
    "none",
    *DEFENCES,
    *BASELINES,
    "sim-dnn published",
    "sim-dnn similarity",
    "sim-dnn profile light",
    "sim-dnn profile standard",
    "sim-dnn profile full",
    "sim-dnn profile+opinion",
)
"""Methods of plans, besides your own detectors by import path, ``package.module:Detector``."""

CONTROLS = (
    "noise 0.01",
    "noise 0.02",
    "sign noise 3/255",
    "sign noise 5/255",
    "resized",
    "cropped",
    "JPEG 75",
    "brighter",
    "contrast",
    "blurred",
    "noise 0.04",
    "sign noise 10/255",
)
"""Harmless changes, as :data:`simdnn.images.corruptions.CONTROLS` has them."""

REQUIRED = None
"""Marks a parameter without a default."""

Parameters = Mapping[str, float | int | str | None]

ATTACKS: Mapping[str, Parameters] = {
    "fgsm": {"eps": REQUIRED},
    "pgd": {"eps": REQUIRED, "steps": 20, "step_size": REQUIRED},
    "ddn": {"steps": REQUIRED, "levels": 256},
    "cw": {"steps": 40, "searches": 4, "confidence": 1.0, "step_size": 0.01, "initial_const": 0.1},
    "deepfool": {"steps": 20, "candidates": 5, "overshoot": 0.1},
    "fmn": {"steps": 60, "step_size": 1.0, "gamma": 0.05, "levels": 256},
    "apgd": {"eps": REQUIRED, "steps": 50, "loss": "ce"},
    "fab": {"eps": REQUIRED, "steps": 20, "targets": 2},
    "square": {"eps": REQUIRED, "queries": 500},
    "autoattack": {"eps": REQUIRED, "steps": 50, "queries": 500},
    "mifgsm": {"eps": REQUIRED, "steps": 10, "momentum": 1.0},
    "pgd-l2": {"eps": REQUIRED, "steps": 20, "rel_step_size": 0.125},
    "hopskipjump": {"steps": 10, "queries": 50, "most_queries": 200},
}
"""Parameters of each attack, with their defaults, in the order of the fields of the attack's class."""
