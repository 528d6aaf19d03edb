"""All attacks by name, and making one from settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from simdnn.attacks.apgd import APGD
from simdnn.attacks.attack import Attack
from simdnn.attacks.autoattack import AutoAttack
from simdnn.attacks.cw import CW
from simdnn.attacks.ddn import DDN
from simdnn.attacks.deepfool import DeepFool
from simdnn.attacks.fab import FAB
from simdnn.attacks.fgsm import FGSM
from simdnn.attacks.fmn import FMN
from simdnn.attacks.hopskipjump import HopSkipJump
from simdnn.attacks.mifgsm import MIFGSM
from simdnn.attacks.pgd import PGD
from simdnn.attacks.pgd_l2 import PGDL2
from simdnn.attacks.square import Square
from simdnn.errors import InputError

_KINDS: tuple[type[Attack], ...] = (
    FGSM, PGD, DDN, CW, DeepFool, FMN, APGD, FAB, Square, AutoAttack, MIFGSM, PGDL2, HopSkipJump,
)  # fmt: skip

ATTACKS: Mapping[str, type[Attack]] = {kind.name: kind for kind in _KINDS}
"""Attack classes by their names in plans and on the command line."""

STEPS_OF_PGD, STEPS_WITHIN_EPS = 20, 8
"""PGD's default number of steps, and how many of its default steps reach from the image to ``eps``."""

MINIMA = {"confidence": 0, "overshoot": 0, "momentum": 0, "levels": 2}
"""The smallest allowed value of some parameters; all others must be above 0."""


def make_attack(settings: Mapping[str, Any] | str) -> Attack:
    """Make an attack from settings, such as ``{"attack": "pgd", "eps": 0.01}``, or from its name alone.

    Parameters with a default may be left out; the defaults of PGD are 20 steps of size ``eps / 8``.

    Raises
    ------
    InputError
        If there is no such attack, or a parameter is unknown, missing, of the wrong type, or outside its range.

    >>> make_attack({"attack": "pgd", "eps": 0.08})
    PGD(eps=0.08, steps=20, step_size=0.01)
    >>> make_attack("deepfool")
    DeepFool(steps=20, candidates=5, overshoot=0.1)
    """
    parameters: dict[str, Any] = {"attack": settings} if isinstance(settings, str) else dict(settings)
    name = parameters.pop("attack", None)
    if not isinstance(name, str) or name not in ATTACKS:
        raise InputError(f"expected an attack among {', '.join(ATTACKS)}; got {name!r}")
    kind = ATTACKS[name]
    known = {field.name: field for field in fields(kind)}
    if unknown := set(parameters) - set(known):
        raise InputError(f"{name} has no parameter {', '.join(sorted(unknown))}; it has {', '.join(known)}")
    for parameter, value in parameters.items():
        _check(name, parameter, value, str(known[parameter].type))
    if name == PGD.name and "eps" in parameters:
        defaults = {"steps": STEPS_OF_PGD, "step_size": parameters["eps"] / STEPS_WITHIN_EPS}
        parameters = defaults | parameters
    missing = [field for field in known if field not in parameters and known[field].default is MISSING]
    if missing:
        raise InputError(f"{name} needs {', '.join(missing)}")
    return kind(**parameters)


def _check(name: str, parameter: str, value: object, kind: str) -> None:
    """Raise InputError if a value has another type than the parameter, or is outside its range."""
    if kind == "str":
        if not isinstance(value, str):
            raise InputError(f"{name}: expected a word for {parameter}, got {value!r}")
        return
    whole, minimum = kind == "int", MINIMA.get(parameter)
    if (
        isinstance(value, bool)
        or not isinstance(value, int if whole else (int, float))
        or value == math.inf
        or not (value > 0 if minimum is None else value >= minimum)
    ):
        wanted = "a whole number" if whole else "a number"
        least = "above 0" if minimum is None else f"of {minimum} or more"
        raise InputError(f"{name}: expected {wanted} {least} for {parameter}, got {value!r}")
    if parameter == "eps" and value > 1 and name != PGDL2.name:
        raise InputError(
            f"{name}: expected eps of at most 1, since images are in [0, 1], got {value:g}; "
            f"for {value:g} of 255 levels, give {value / 255:.4g}"
        )
