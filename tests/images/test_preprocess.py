from __future__ import annotations

import importlib
import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from simdnn.errors import ImageReadError, InputError
from simdnn.images.preprocess import Preprocess


def photographs() -> list[Image.Image]:
    wide = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    china, flower = wide
    return [
        china,
        flower,
        china.transpose(Image.Transpose.ROTATE_90),
        flower.resize((97, 301)),
        china.resize((256, 256)),
    ]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("crop", "resize"), [(224, 256), (224, 232), (299, 342), (384, 384)])
def test_it_is_the_preset_of_torchvision_bit_for_bit(interpolation: str, crop: int, resize: int) -> None:
    presets = importlib.import_module("torchvision.transforms._presets")
    mode = importlib.import_module("torchvision.transforms").InterpolationMode(interpolation)
    preset = presets.ImageClassification(
        crop_size=crop, resize_size=resize, interpolation=mode, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
    )
    ours = Preprocess(size=(crop, crop), resize=resize, interpolation=interpolation)
    for photograph in photographs():
        pixels = ours(photograph)
        assert pixels.dtype == torch.float32
        assert pixels.is_contiguous()
        assert torch.equal(pixels, preset(photograph))


def test_without_resize_the_whole_picture_is_squashed() -> None:
    functional = importlib.import_module("torchvision.transforms.functional")
    photograph = photographs()[0]
    pixels = Preprocess(size=(96, 128), resize=None)(photograph)
    assert torch.equal(pixels, functional.to_tensor(functional.resize(photograph, [96, 128])))


def test_a_picture_of_the_right_size_keeps_every_pixel() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    preprocess = Preprocess(size=(64, 48), resize=80)
    exact = preprocess(Image.fromarray(noise))
    assert torch.equal((exact * 255).round().to(torch.uint8), torch.from_numpy(noise).permute(2, 0, 1))
    turned = preprocess(Image.fromarray(noise.transpose(1, 0, 2)))
    assert turned.shape == (3, 64, 48)


def test_a_picture_too_elongated_or_not_rgb_is_refused() -> None:
    preprocess = Preprocess(size=(8, 8), resize=10)
    assert preprocess(Image.new("RGB", (1, 100))).shape == (3, 8, 8)
    with pytest.raises(ImageReadError) as too_long:
        preprocess(Image.new("RGB", (2000, 10)))
    assert str(too_long.value) == "expected sides in a ratio of at most 100 to 1, got 2,000 x 10"
    with pytest.raises(InputError) as grey:
        preprocess(Image.new("L", (20, 10)))
    assert str(grey.value) == "expected a picture in mode RGB, got L; read it with read_image"


def test_a_picture_that_would_grow_too_large_is_refused() -> None:
    preprocess = Preprocess(size=(2048, 2048), resize=4096)
    with pytest.raises(ImageReadError) as too_large:
        preprocess(Image.new("RGB", (300, 10)))
    assert str(too_large.value) == (
        "expected at most 50,000,000 pixels once the shorter side is 4,096, got 122,880 x 4,096"
    )


BOUND = (
    "expected size of at most 2,048 and resize of at most 4,096, got {}; "
    "a batch of larger pictures would fill the memory"
)
LENGTHS = "expected size as height and width, two positive integers, got "
SHORTER = "expected resize as an integer of at least 9, the longer side of size, or None to squash the picture, got "


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 224}, LENGTHS + "224"),
        ({"size": (224, 0)}, LENGTHS + "(224, 0)"),
        ({"size": (224.0, 224)}, LENGTHS + "(224.0, 224)"),
        ({"size": (1, 2, 3)}, LENGTHS + "(1, 2, 3)"),
        ({"resize": 8}, SHORTER + "8"),
        ({"resize": True}, SHORTER + "True"),
        ({"size": (12_000, 8), "resize": None}, BOUND.format("(12000, 8) and None")),
        ({"resize": 30_000}, BOUND.format("(9, 8) and 30000")),
        ({"mean": (0.5,)}, "expected mean as three finite numbers, one per channel, got (0.5,)"),
        (
            {"mean": (0, 0, float("nan"))},
            "expected mean as three finite numbers, one per channel, got (0, 0, nan)",
        ),
        ({"std": (1, 1, 0)}, "expected std as three finite numbers above 0, one per channel, got (1, 1, 0)"),
        (
            {"std": (1, 1, "1")},
            "expected std as three finite numbers above 0, one per channel, got (1, 1, '1')",
        ),
        ({"interpolation": "lanczos"}, "expected interpolation 'bilinear' or 'bicubic', got 'lanczos'"),
        ({"interpolation": ["bicubic"]}, "expected interpolation 'bilinear' or 'bicubic', got ['bicubic']"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    settings: dict[str, Any] = {"size": (9, 8), "resize": 9}
    with pytest.raises(InputError) as caught:
        Preprocess(**{**settings, **change})
    assert str(caught.value) == message


def test_settings_survive_json() -> None:
    preprocess = Preprocess((9, 8), None, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 1), interpolation="bicubic")
    plain = json.loads(json.dumps(preprocess.as_dict()))
    assert plain == {
        "size": [9, 8],
        "resize": None,
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.3, 1],
        "interpolation": "bicubic",
    }
    assert Preprocess.from_dict(plain) == preprocess
    expected = "expected the settings ['interpolation', 'mean', 'resize', 'size', 'std'], got "
    for wrong, got in (({"size": [9, 8]}, "['size']"), ([1], "[1]")):
        with pytest.raises(InputError) as caught:
            Preprocess.from_dict(wrong)
        assert str(caught.value) == expected + got
