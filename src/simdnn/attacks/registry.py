"""Every attack by its name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from simdnn.attacks.apgd import APGD
from simdnn.attacks.attack import Recipe
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

_KINDS: tuple[type[Recipe], ...] = (
    FGSM, PGD, DDN, CW, DeepFool, FMN, APGD, FAB, Square, AutoAttack, MIFGSM, PGDL2, HopSkipJump,
)  # fmt: skip

RECIPES: Mapping[str, type[Recipe]] = {kind.name: kind for kind in _KINDS}
"""Attacks by the name that plans and the command line use."""

STEPS_OF_PGD, STEPS_WITHIN_EPS = 20, 8
LOWEST = {"confidence": 0, "overshoot": 0, "momentum": 0, "levels": 2}
"""The least that a parameter may be; all others are above 0."""


def recipe(settings: Mapping[str, Any] | str) -> Recipe:
    """Make an attack from plain settings, such as ``{"attack": "pgd", "eps": 0.01}``, or from its name alone.

    What an attack has a default for may be left out; PGD has 20 steps of ``eps / 8``.

    Raises
    ------
    InputError
        If there is no such attack, or a parameter is unknown, missing, no number, or out of its range.

    >>> recipe({"attack": "pgd", "eps": 0.08})
    PGD(eps=0.08, steps=20, step_size=0.01)
    >>> recipe("deepfool")
    DeepFool(steps=20, candidates=5, overshoot=0.1)
    """
    given: dict[str, Any] = {"attack": settings} if isinstance(settings, str) else dict(settings)
    name = given.pop("attack", None)
    if not isinstance(name, str) or name not in RECIPES:
        raise InputError(f"expected an attack among {', '.join(RECIPES)}; got {name!r}")
    kind = RECIPES[name]
    known = {field.name: field for field in fields(kind)}
    if unknown := set(given) - set(known):
        raise InputError(f"{name} has no parameter {', '.join(sorted(unknown))}; it has {', '.join(known)}")
    for parameter, value in given.items():
        _check(name, parameter, value, str(known[parameter].type))
    if name == PGD.name and "eps" in given:
        given = {"steps": STEPS_OF_PGD, "step_size": given["eps"] / STEPS_WITHIN_EPS} | given
    missing = [field for field in known if field not in given and known[field].default is MISSING]
    if missing:
        raise InputError(f"{name} needs {', '.join(missing)}")
    return kind(**given)


def title(made: Recipe) -> str:
    """Name an attack with its strength, as it heads a column.

    >>> title(DDN(steps=20)), title(APGD(eps=0.02, loss="dlr")), title(DeepFool())
    ('ddn-20', 'apgd-dlr-0.02', 'deepfool')
    """
    values = {field.name: getattr(made, field.name) for field in fields(made)}
    kind = f"{made.name}-{values['loss']}" if "loss" in values else made.name
    if "eps" in values:
        return f"{kind}-{values['eps']:g}"
    return f"{kind}-{values['steps']}" if made.name == DDN.name else kind


def _check(name: str, parameter: str, value: object, kind: str) -> None:
    """Refuse a value of another type than the parameter's, or one that makes no sense."""
    if kind == "str":
        if not isinstance(value, str):
            raise InputError(f"{name}: expected a word for {parameter}, got {value!r}")
        return
    whole, lowest = kind == "int", LOWEST.get(parameter)
    if (
        isinstance(value, bool)
        or not isinstance(value, int if whole else (int, float))
        or value == math.inf
        or not (value > 0 if lowest is None else value >= lowest)
    ):
        wanted = "a whole number" if whole else "a number"
        least = "above 0" if lowest is None else f"of {lowest} or more"
        raise InputError(f"{name}: expected {wanted} {least} for {parameter}, got {value!r}")
    if parameter == "eps" and value > 1 and name != PGDL2.name:
        raise InputError(
            f"{name}: expected eps of at most 1, since images are in [0, 1], got {value:g}; "
            f"for {value:g} of 255 levels, give {value / 255:.4g}"
        )
