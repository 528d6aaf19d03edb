"""Operator norms of resizes: against power iteration on the full 2-D operator, for Pillow, torch and plain means."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import avg_pool2d, interpolate

from simdnn.arrays import FloatArray
from simdnn.errors import InputError
from simdnn.smoothing.operator_norm import Resize, axis_matrices, mean_norm, operator_norm


def block_mean(k: int) -> Resize:
    return lambda x: avg_pool2d(torch.from_numpy(x)[None, None], k)[0, 0].numpy()


def pillow(height: int, width: int, kind: Image.Resampling) -> Resize:
    def resize(x: FloatArray) -> FloatArray:
        picture = Image.fromarray(x.astype(np.float32)).resize((width, height), kind)
        return np.asarray(picture, dtype=np.float64)

    return resize


def torch_resize(height: int, width: int, mode: str) -> Resize:
    def resize(x: FloatArray) -> FloatArray:
        image = torch.from_numpy(x)[None, None]
        small = interpolate(image, (height, width), mode=mode, antialias=True, align_corners=False)
        return small[0, 0].numpy()

    return resize


def crop(x: FloatArray) -> FloatArray:
    return x[1:-1, 2:-1]


def cropped(resize: Resize) -> Resize:
    return lambda x: crop(resize(x))


def full_operator(resize: Resize, height: int, width: int) -> FloatArray:
    """Each pixel's impulse resized: (h w, H W)."""
    impulses = np.eye(height * width).reshape(-1, height, width)
    return np.stack([resize(impulse).ravel() for impulse in impulses], axis=1)


def by_power_iteration(operator: FloatArray) -> float:
    vector: FloatArray = np.asarray(np.random.default_rng(0).random(operator.shape[1]))
    for _ in range(2000):
        longer: FloatArray = operator.T @ (operator @ vector)
        vector = longer / np.linalg.norm(longer)
    return float(np.linalg.norm(operator @ vector))


RESIZES = [
    pytest.param(block_mean(2), id="mean 2 x 2"),
    pytest.param(block_mean(3), id="mean 3 x 3"),
    pytest.param(pillow(6, 5, Image.Resampling.BILINEAR), id="Pillow bilinear"),
    pytest.param(pillow(6, 5, Image.Resampling.BICUBIC), id="Pillow bicubic"),
    pytest.param(pillow(16, 15, Image.Resampling.BICUBIC), id="Pillow bicubic, larger"),
    pytest.param(torch_resize(6, 5, "bilinear"), id="torch bilinear"),
    pytest.param(torch_resize(6, 5, "bicubic"), id="torch bicubic"),
    pytest.param(cropped(torch_resize(8, 9, "bilinear")), id="torch bilinear, cropped"),
    pytest.param(crop, id="crop"),
]


@pytest.mark.parametrize("resize", RESIZES)
def test_norm_is_that_of_the_full_operator(resize: Resize) -> None:
    norm, full = operator_norm(resize, 12, 11), full_operator(resize, 12, 11)
    assert norm == pytest.approx(np.linalg.norm(full, 2), rel=1e-6)
    assert (
        norm * (1 - 1e-4) < by_power_iteration(full) < norm * (1 + 1e-6)
    )  # slow where the two largest are close


@pytest.mark.parametrize("resize", RESIZES)
def test_no_change_is_stretched_more(resize: Resize) -> None:
    norm = operator_norm(resize, 12, 11)
    vertical, horizontal = axis_matrices(resize, 12, 11)
    top = np.outer(np.linalg.svd(vertical)[2][0], np.linalg.svd(horizontal)[2][0])
    assert np.linalg.norm(resize(top)) == pytest.approx(norm, rel=1e-5)  # this one is stretched just so
    for change in np.random.default_rng(1).normal(size=(20, 12, 11)):
        assert np.linalg.norm(resize(change)) < norm * np.linalg.norm(change)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_mean_over_blocks(k: int) -> None:
    assert operator_norm(block_mean(k), 12, 12) == pytest.approx(mean_norm(k), rel=1e-12)
    assert operator_norm(block_mean(k), 13, 11) == pytest.approx(
        mean_norm(k), rel=1e-12
    )  # the rest is left out


def test_a_crop_neither_stretches_nor_shrinks() -> None:
    assert operator_norm(crop, 9, 8) == pytest.approx(1.0, abs=1e-12)


def eight_bits(x: FloatArray) -> FloatArray:
    return np.round(255 * x[::2, ::2]) / 255


def padded(x: FloatArray) -> FloatArray:
    return np.pad(x, 1)


def clipped(x: FloatArray) -> FloatArray:
    return np.clip(pillow(20, 20, Image.Resampling.BICUBIC)(x), 0, 1)


def rotated(x: FloatArray) -> FloatArray:
    return x.T


@pytest.mark.parametrize("resize", [eight_bits, padded, clipped, rotated])
def test_what_is_no_separable_linear_resize_is_refused(resize: Resize) -> None:
    with pytest.raises(
        InputError,
        match=r"^expected a linear resize, each axis on its own, .*; got one that deviates by [0-9.e-]+; "
        r"resize without rounding, clipping or padding$",
    ):
        operator_norm(resize, 8, 8)


def test_blocks_have_a_size() -> None:
    with pytest.raises(InputError, match=r"^expected blocks of at least 1 x 1 pixels; got k = 0$"):
        mean_norm(0)
