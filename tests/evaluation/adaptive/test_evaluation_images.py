"""A passing attack inside a certified radius is reported, with the image and its norm; others are not."""

from __future__ import annotations

import pytest
import torch

from simdnn.evaluation.adaptive.evaluation_images import EvaluationImages

ROWS = torch.tensor([2, 0])


def _clean(radii: torch.Tensor | None) -> EvaluationImages:
    images = torch.full((3, 3, 2, 2), 0.5)
    return EvaluationImages(images, torch.zeros(3), images[:1], torch.zeros(1), radii)


def _moved(by: float) -> torch.Tensor:
    """Images of rows 2 and 0, the first of which moved by that L2 norm."""
    attacked = torch.full((2, 3, 2, 2), 0.5)
    attacked[0, 0, 0, 0] += by
    return attacked


def test_an_attack_that_passes_within_the_radius_is_a_fault() -> None:
    clean = _clean(torch.tensor([0.0, 0.0, 0.3]))
    evaded = torch.tensor([True, False])
    with pytest.raises(AssertionError, match=r"image 2 at 0\.250, certified up to 0\.300"):
        clean.check_certificate(_moved(0.25), evaded, ROWS)


def test_attacks_beyond_the_radius_or_flagged_are_none() -> None:
    clean = _clean(torch.tensor([0.0, 0.0, 0.3]))
    clean.check_certificate(_moved(0.35), torch.tensor([True, False]), ROWS)
    clean.check_certificate(_moved(0.25), torch.tensor([False, False]), ROWS)
    _clean(None).check_certificate(_moved(0.25), torch.tensor([True, True]), ROWS)
