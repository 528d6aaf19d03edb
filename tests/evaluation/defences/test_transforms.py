"""Every transform keeps its promises; the strengths that are drawn stay within the published ranges and fill them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import color, exposure, filters, restoration
from skimage import transform as geometry
from sklearn.datasets import load_sample_image

from simdnn.evaluation.defences import transforms
from simdnn.evaluation.defences.transforms import GROUPS, Pixels, Transform

ALL = [
    pytest.param(transform, id=f"{group} {number}")
    for group, members in GROUPS.items()
    for number, transform in enumerate(members)
]
DRAWS = 300
"""That none of them comes within 5 % of one end of a range has a probability of 0.95 ** 300 = 2e-7."""


def photograph(name: str, height: int, width: int) -> Pixels:
    picture = Image.fromarray(load_sample_image(name)).resize((width, height))
    return np.asarray(picture, dtype=np.float64) / 255


@pytest.fixture(scope="module", params=[("china.jpg", 64, 64), ("flower.jpg", 32, 48)], ids=str)
def pixels(request: pytest.FixtureRequest) -> Pixels:
    return photograph(*request.param)


def fills(values: Any, low: float, high: float) -> bool:
    """Tell whether all values lie in a range, and some near each of its ends."""
    found, margin = np.asarray(values, dtype=np.float64), 0.05 * (high - low)
    inside = low <= found.min() and found.max() <= high
    return bool(inside and found.min() < low + margin and found.max() > high - margin)


def draws() -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(DRAWS)]


def test_the_groups_are_the_ten_of_the_paper() -> None:
    sizes = {group: len(members) for group, members in GROUPS.items()}
    assert sizes == {
        "colour precision": 1, "JPEG": 1, "swirl": 1, "noise": 6, "FFT": 1, "zoom": 1,
        "colour space": 4, "contrast": 3, "grey": 4, "denoise": 7,
    }  # fmt: skip


@pytest.mark.parametrize("transform", ALL)
def test_a_transform_keeps_the_shape_changes_the_picture_and_spares_its_input(
    transform: Transform, pixels: Pixels
) -> None:
    before = pixels.copy()
    changed = transform(pixels, np.random.default_rng(1))
    assert changed.shape == pixels.shape
    assert changed.dtype == np.float64
    assert np.isfinite(changed).all()
    assert np.abs(np.clip(changed, 0, 1) - before).max() > 1 / 255
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("transform", ALL)
def test_a_transform_is_its_seed(transform: Transform, pixels: Pixels) -> None:
    first, again, *others = (transform(pixels, np.random.default_rng(seed)) for seed in (1, 1, *range(2, 12)))
    np.testing.assert_array_equal(first, again)
    if transform is transforms.equalised_locally and min(pixels.shape[:2]) < 64:
        return  # tiles of so few pixels that every limit means one count
    assert any(np.abs(first - other).max() > 0 for other in others)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("transform", ALL)
def test_a_flat_picture_goes_through(transform: Transform, level: float) -> None:
    flat = np.full((32, 32, 3), level)
    for picture in (flat, np.clip(flat + 1e-9 * np.random.default_rng(1).standard_normal(flat.shape), 0, 1)):
        changed = transform(picture, np.random.default_rng(0))
        assert changed.shape == (32, 32, 3)
        assert np.isfinite(changed).all()


def test_colour_precision_leaves_8_to_200_levels() -> None:
    ramp = np.repeat(np.linspace(0, 1, 1000)[None, :, None], 3, axis=-1)
    counts = []
    for draw in draws():
        rounded = transforms.colour_precision(ramp, draw)
        counts += [len(np.unique(rounded[..., c])) for c in range(3)]
        assert (rounded.min(), rounded.max()) == (0, 1)
    assert fills(counts, 8, 200)


@pytest.mark.parametrize("side", [256, 128])
def test_zoom_cuts_10_to_50_of_256_pixels_off_every_side(side: int) -> None:
    """A picture whose values are its coordinates tells how much is gone, to a pixel that is rounded up."""
    down, across = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    coordinates = np.stack([down, across, across], axis=-1).astype(np.float64)
    margins = []
    for draw in draws()[:100]:
        rest = transforms.zoom(coordinates, draw)
        ends = rest[0, 0, 0], side - 1 - rest[-1, 0, 0], rest[0, 0, 1], side - 1 - rest[0, -1, 1]
        margins += [round(end) for end in ends]
    assert fills(margins, 10 * side / 256, 50 * side / 256 + 1)


def test_fft_drops_the_weakest_up_to_95_percent_and_scales_the_rest_by_two_percent_at_most() -> None:
    pixels = np.random.default_rng(0).random((16, 16, 3))
    before = np.fft.fft2(pixels, axes=(0, 1))
    shares = []
    for draw in draws():
        factor = (np.fft.fft2(transforms.spectrum(pixels, draw), axes=(0, 1)) / before).real
        dropped = np.abs(factor) < 1e-9
        shares.append(dropped.mean())
        for c in range(3):
            scaled = np.abs(factor[..., c][~dropped[..., c]] - 1) <= 0.02 + 1e-9
            assert (
                ~scaled
            ).sum() <= 2  # at the threshold rounding may tell a frequency from its mirror image
            weak, strong = np.abs(before[..., c])[dropped[..., c]], np.abs(before[..., c])[~dropped[..., c]]
            assert weak.max(initial=0) <= strong.min() + 1e-9
    assert fills(shares, 0, 0.95)


@pytest.mark.parametrize(
    ("number", "space", "most", "base"),
    [
        (0, color.rgb2hsv, (0.05, 0.25, 0.25), 0.0),
        (1, color.rgb2xyz, (0.05, 0.05, 0.05), 0.7),
        (2, color.rgb2lab, (5, 2, 2), 0.0),
        (3, color.rgb2yuv, (0.05, 0.02, 0.02), 0.0),
    ],
    ids=["HSV", "XYZ", "LAB", "YUV"],
)
def test_a_colour_space_is_shifted_as_a_whole(
    number: int, space: Callable[[Pixels], Pixels], most: tuple[float, float, float], base: float
) -> None:
    """On colours that stay colours of RGB under any of the shifts."""
    pixels = base + (1 - base / 0.75) * np.array([[[0.40, 0.55, 0.62], [0.45, 0.62, 0.52]]])
    transform = GROUPS["colour space"][number]
    shifts = np.stack([space(transform(pixels, draw)) - space(pixels) for draw in draws()])
    np.testing.assert_allclose(shifts[:, 0, 0], shifts[:, 0, 1], atol=1e-3)  # the same for every pixel
    for c in range(3):
        assert fills(shifts[:, 0, 0, c], -most[c] - 1e-3, most[c] + 1e-3)


def test_a_hue_goes_round_and_saturation_and_value_stop_at_their_ends() -> None:
    transform = GROUPS["colour space"][0]
    for draw in draws()[:50]:
        changed = transform(np.array([[[1.0, 0.0, 0.0]]]), draw)
        hue, saturation, value = color.rgb2hsv(changed)[0, 0]
        assert min(hue, 1 - hue) <= 0.05 + 1e-9
        assert saturation >= 0.75 - 1e-9
        assert value >= 0.75 - 1e-9
        assert 0 <= changed.min() <= changed.max() <= 1


def test_stretching_takes_percentiles_1_to_4_and_96_to_99() -> None:
    """On a picture whose values are evenly spread, both ends can be read off the result."""
    even = np.repeat(np.linspace(0, 1, 10_000).reshape(100, 100, 1), 3, axis=-1)
    lows, highs = [], []
    for draw in draws():
        result = transforms.stretched(even, draw)
        lows += [(result[..., c] == 0).mean() * 100 for c in range(3)]
        highs += [100 - (result[..., c] == 1).mean() * 100 for c in range(3)]
    assert fills(lows, 1, 4.02)
    assert fills(highs, 95.98, 99)


def mix_of(channel: NDArray[np.float64], pixels: Pixels) -> NDArray[np.float64]:
    """Return the weights of red, green and blue that make a channel."""
    weights, residual, *_ = np.linalg.lstsq(pixels.reshape(-1, 3), channel.ravel(), rcond=None)
    assert residual < 1e-20
    return np.asarray(weights)


@pytest.mark.parametrize(
    ("number", "greys", "untouched"),
    [(0, 3, 0), (1, 0, 0), (2, 2, 1), (3, 0, 2)],
    ids=["all", "all in part", "two", "one in part"],
)
def test_grey_is_a_mix_of_the_channels(number: int, greys: int, untouched: int) -> None:
    pixels = np.random.default_rng(0).random((8, 8, 3))
    for draw in draws()[:50]:
        changed = GROUPS["grey"][number](pixels, draw)
        mixes = np.array([mix_of(changed[..., c], pixels) for c in range(3)])
        np.testing.assert_allclose(mixes.sum(axis=1), 1)
        assert mixes.min() > -1e-9
        assert sum(np.array_equal(changed[..., c], pixels[..., c]) for c in range(3)) == untouched
        alike = [np.array_equal(changed[..., a], changed[..., b]) for a, b in ((0, 1), (0, 2), (1, 2))]
        assert sum(alike) == {3: 3, 2: 1, 0: 0}[greys]


def test_noise_is_of_the_six_kinds() -> None:
    kinds = []
    grey = np.full((64, 64, 3), 0.25)  # where salt is 1 and pepper is 0
    for add in GROUPS["noise"]:
        values = np.unique(add(grey, np.random.default_rng(0)))
        kinds.append("many" if len(values) > 3 else tuple(values))
    gaussian, poisson, salt, pepper, both, speckle = kinds
    assert (salt, pepper, both) == ((0.25, 1), (0, 0.25), (0, 0.25, 1))
    assert gaussian == speckle == "many"
    assert poisson != (0.25,)


@pytest.mark.parametrize(
    ("transform", "module", "function", "argument", "low", "high"),
    [
        (transforms.swirl, geometry, "swirl", 2, 0.01, 3),
        (transforms.swirl, geometry, "swirl", 3, 20 / 256 * 32, 200 / 256 * 32),
        (transforms.equalised, exposure, "equalize_hist", "nbins", 40, 256),
        (transforms.equalised_locally, exposure, "equalize_adapthist", "clip_limit", 0.01, 0.04),
        (transforms.blurred, filters, "gaussian", "sigma", 0.1, 2),
        (transforms.total_variation, restoration, "denoise_tv_chambolle", "weight", 0.05, 0.3),
        (transforms.jpeg, Image.Image, "save", "quality", 55, 95),
    ],
    ids=["swirl strength", "swirl radius", "bins", "CLAHE", "Gaussian", "total variation", "JPEG"],
)
def test_a_library_is_asked_for_the_published_strengths(
    transform: Transform,
    module: Any,
    function: str,
    argument: int | str,
    low: float,
    high: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[float] = []
    real = getattr(module, function)

    def spy(*positional: Any, **named: Any) -> Any:
        asked.append(positional[argument] if isinstance(argument, int) else named[argument])
        return real(*positional, **named)

    monkeypatch.setattr(module, function, spy)
    pixels = np.random.default_rng(0).random((32, 40, 3))
    for draw in draws():
        transform(pixels, draw)
    assert fills(asked, low, high)


def test_filters_over_a_disk_have_a_radius_of_2_or_3() -> None:
    """A bright point spreads over the disk that the mean is taken of; a median takes it away."""
    point = np.zeros((15, 15, 3))
    point[7, 7] = 1
    reached = set()
    for draw in draws()[:40]:
        assert GROUPS["denoise"][1](point, draw).max() == 0
        spread = GROUPS["denoise"][2](point, draw)[..., 0] > 0
        reached.add(int(spread[7].sum()))
    assert reached == {5, 7}
