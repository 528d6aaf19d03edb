"""Views move pixels where they say, and drawn ones lie on opposite sides."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from simdnn.errors import InputError
from simdnn.images.shifts import Shift
from simdnn.rules.profile import LEVELS, ProfileRule


def ramp() -> Tensor:
    return torch.rand(2, 3, 8, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(("right", "down"), [(1, 0), (0, 2), (-3, 1), (2, -2)])
def test_shift_moves_every_inner_pixel(right: int, down: int) -> None:
    images = ramp()
    moved = Shift(right=right, down=down)(images)
    for y in range(8):
        for x in range(10):
            if 0 <= y - down < 8 and 0 <= x - right < 10:
                assert torch.equal(moved[..., y, x], images[..., y - down, x - right])


def test_edges_are_reflected() -> None:
    images = ramp()
    assert torch.equal(Shift(right=2)(images)[..., 0], images[..., 2])
    assert torch.equal(Shift(down=-1)(images)[..., -1, :], images[..., -2, :])


def test_mirror_is_its_own_inverse() -> None:
    images = ramp()
    assert torch.equal(Shift(mirror=True)(images), images.flip(-1))
    assert torch.equal(Shift(mirror=True)(Shift(mirror=True)(images)), images)


def test_turning_agrees_with_torchvision_inside() -> None:
    images = torch.nn.functional.avg_pool2d(
        torch.rand(1, 3, 132, 132, generator=torch.Generator().manual_seed(1)), 5, stride=1
    )
    ours = Shift(angle=7.0)(images)
    theirs = functional.rotate(images, 7.0, interpolation=functional.InterpolationMode.BILINEAR)
    assert (ours - theirs)[..., 24:-24, 24:-24].abs().max() < 1e-4


def test_gradients_pass_through() -> None:
    images = ramp().requires_grad_()
    seen = Shift(mirror=True, right=1, down=-1, angle=3.0)(images)
    (gradient,) = torch.autograd.grad(seen.sum(), images)
    assert (gradient[..., 3:-3, 3:-3] > 0).all()


def test_shift_larger_than_the_image() -> None:
    with pytest.raises(InputError, match=r"expected images larger than the shift by \(10, 0\), got 10 x 8"):
        Shift(right=10)(ramp())


def test_plain_values_bring_a_view_back() -> None:
    view = Shift(mirror=True, right=-3, down=1, angle=2.5)
    assert Shift(**view.as_dict()) == view


@pytest.mark.parametrize("level", list(LEVELS))
def test_drawn_views_are_small_and_opposite(level: str) -> None:
    seen = set()
    for secret in range(200):
        views = ProfileRule.draw_views(level, secret)
        assert len(views) == LEVELS[level]
        assert views == ProfileRule.draw_views(level, secret)
        for one, other in zip(views[::2], views[1::2], strict=False):
            dot = one.right * other.right + one.down * other.down
            lengths = (one.right**2 + one.down**2) * (other.right**2 + other.down**2)
            assert dot < -0.89 * lengths**0.5
        assert all(1 <= abs(view.right) <= 3 and 1 <= abs(view.down) <= 3 for view in views)
        seen.add(views)
    assert len(seen) >= 4


def test_unknown_level() -> None:
    with pytest.raises(InputError, match="no level 'best'; the levels are light, standard, full"):
        ProfileRule.draw_views("best", 0)
