"""Attacks made from plain settings."""

from __future__ import annotations

import re

import pytest

from simdnn.attacks import (
    make_attack,
)
from simdnn.attacks.deepfool import DeepFool
from simdnn.errors import InputError


def test_an_attack_may_be_a_name_alone() -> None:
    assert make_attack("deepfool") == make_attack({"attack": "deepfool"}) == DeepFool()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("pgdd", "expected an attack among fgsm, pgd, ddn"),
        ({"attack": ["pgd"]}, "got ['pgd']"),
        ("pgd", "pgd needs eps"),
        ({"attack": "apgd", "eps": 0.1, "loss": 3}, "apgd: expected a word for loss, got 3"),
        ({"attack": "cw", "steps": True}, "cw: expected a whole number above 0 for steps, got True"),
        (
            {"attack": "cw", "confidence": float("nan")},
            "expected a number of 0 or more for confidence, got nan",
        ),
        ({"attack": "fgsm", "eps": float("inf")}, "fgsm: expected a number above 0 for eps, got inf"),
        (
            {"attack": "ddn", "steps": 9, "levels": 1},
            "expected a whole number of 2 or more for levels, got 1",
        ),
        ({"attack": "square", "eps": 8}, "got 8; for 8 of 255 levels, give 0.03137"),
    ],
)
def test_settings_that_make_no_attack_are_refused(settings: dict[str, object] | str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        make_attack(settings)
