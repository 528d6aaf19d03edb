"""Symptoms of a broken evaluation: none on a sound model, and those that are due on a broken one."""

from __future__ import annotations

from tests.attacks.adaptive.plane import Plane
from tests.evaluation.adaptive.examples import CLEAN
from torch import Tensor

from simdnn.attacks.adaptive import GuardedOutput
from simdnn.evaluation.adaptive.symptoms import symptoms


class Masked(Plane):
    """Quantises its input, so that its gradient is 0."""

    def __call__(self, images: Tensor, output: Tensor | None = None) -> GuardedOutput:
        return super().__call__((images * 20).round() / 20 + 0 * images)


def test_a_sound_evaluation_has_no_symptoms() -> None:
    found = symptoms(Plane(), CLEAN, 0.0, 0.15, steps=40)
    assert list(found) == [
        "vanishing gradients",
        "converged",
        "unbounded attack succeeds",
        "random noise is weaker",
        "black-box attack is weaker",
    ]
    assert {name: symptom["passed"] for name, symptom in found.items()} == dict.fromkeys(found, True)


def test_too_few_steps_show() -> None:
    found = symptoms(Plane(), CLEAN, 0.0, 0.35, steps=3)
    assert found["converged"] == {"few": 0.5, "many": 0.75, "passed": False}


def test_masked_gradients_show() -> None:
    found = symptoms(Masked(), CLEAN, 0.0, 0.15, steps=40)
    assert not found["vanishing gradients"]["passed"]
    assert not found["unbounded attack succeeds"]["passed"]
