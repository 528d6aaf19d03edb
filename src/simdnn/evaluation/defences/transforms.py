"""The ten groups of BaRT's transforms, by scikit-image and Pillow, with the authors' ranges of parameters.

Each transform takes pixels (H, W, 3) in [0, 1] and a generator, and returns pixels that may leave [0, 1]. The swirl's
radius and the zoom's margins are for images of 256 pixels, and scale with the shorter side; the widths of filters are
in pixels of the image.

The authors published no code. Some ranges are unpublished and therefore ours: the strength of noise (scikit-image's
default), of wavelets and of non-local means, the spread of the bilateral mean, and the weights of grey mixes. Seam
carving, the other half of their zoom group, is left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import color, exposure, filters, morphology, restoration, transform, util

Pixels = NDArray[np.float64]
Transform = Callable[[Pixels, np.random.Generator], Pixels]

NOMINAL = 256

FLAT = 1e-6
"""A channel with a smaller range has no histogram."""


def colour_precision(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    """Round each channel to 8 to 200 levels."""
    levels = draw.integers(8, 201, 3) - 1
    return np.asarray(np.round(pixels * levels) / levels)


def jpeg(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    """Write and read a JPEG of quality 55 to 95."""
    encoded = BytesIO()
    _picture(pixels).save(encoded, "JPEG", quality=int(draw.integers(55, 96)))
    return np.asarray(Image.open(encoded), dtype=np.float64) / 255


def swirl(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    """Swirl about a random point with strength 0.01 to 3 and radius 20 to 200."""
    height, width = pixels.shape[:2]
    centre = (draw.uniform(0, width), draw.uniform(0, height))
    radius = draw.uniform(20, 200) * min(height, width) / NOMINAL
    return np.asarray(transform.swirl(pixels, centre, draw.uniform(0.01, 3), radius, mode="reflect"))


def noise(kind: str) -> Transform:
    """Add noise of a kind of scikit-image's ``random_noise``."""

    def add(pixels: Pixels, draw: np.random.Generator) -> Pixels:
        return np.asarray(util.random_noise(np.clip(pixels, 0, 1), mode=kind, rng=draw))

    return add


def spectrum(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    """Drop the weakest frequencies of each channel, up to 95 %, and scale the others by 0.98 to 1.02 each.

    The published fraction, 0 to 0.95, is read as the share dropped: keeping a share of 0 would give a black image.
    """
    frequencies = np.fft.fft2(pixels, axes=(0, 1))
    dropped = draw.uniform(0, 0.95)
    weak = np.abs(frequencies) < np.quantile(np.abs(frequencies), dropped, axis=(0, 1))
    frequencies[weak] = 0
    frequencies *= draw.uniform(0.98, 1.02, frequencies.shape)
    return np.asarray(np.fft.ifft2(frequencies, axes=(0, 1)).real)


def zoom(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    """Cut 10 to 50 pixels off every side, and enlarge the rest."""
    height, width = pixels.shape[:2]
    top, bottom, left, right = np.ceil(draw.uniform(10, 50, 4) * min(height, width) / NOMINAL).astype(int)
    rest = pixels[top : height - bottom, left : width - right]
    return np.asarray(transform.resize(rest, (height, width), order=1, anti_aliasing=False))


def shifted_colours(
    there: Callable[[Pixels], Pixels], back: Callable[[Pixels], Pixels], most: tuple[float, float, float]
) -> Transform:
    """Shift every channel of another colour space by at most ``most``."""

    def shift(pixels: Pixels, draw: np.random.Generator) -> Pixels:
        moved = there(np.clip(pixels, 0, 1)) + draw.uniform(-1, 1, 3) * most
        if there is color.rgb2hsv:
            moved = np.stack([moved[..., 0] % 1, *np.clip(moved[..., 1:], 0, 1).transpose(2, 0, 1)], axis=-1)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Conversion from CIE-LAB")  # colours that no screen has
            return np.asarray(back(moved))

    return shift


def equalised(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    """Equalise the histogram of each channel, with 40 to 256 bins; one that is flat stays as it is."""
    bins = int(draw.integers(40, 257))
    channels = [pixels[..., c] for c in range(3)]
    return np.stack(
        [c if np.ptp(c) < FLAT else exposure.equalize_hist(c, nbins=bins) for c in channels], axis=-1
    )


def equalised_locally(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    """Equalise the histogram of each tile, with a clip limit of 0.01 to 0.04."""
    return np.asarray(exposure.equalize_adapthist(np.clip(pixels, 0, 1), clip_limit=draw.uniform(0.01, 0.04)))


def stretched(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    """Stretch each channel from between its percentiles 1 to 4 and 96 to 99."""
    low, high = draw.uniform(1, 4, 3), draw.uniform(96, 99, 3)
    channels = []
    for c in range(3):
        bounds = np.percentile(pixels[..., c], (low[c], high[c]))
        flat = bounds[1] - bounds[0] < FLAT
        channels.append(
            pixels[..., c] if flat else exposure.rescale_intensity(pixels[..., c], tuple(bounds), (0, 1))
        )
    return np.stack(channels, axis=-1)


def grey(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    """Replace all channels by a random mix of them."""
    return np.repeat((pixels @ draw.dirichlet(np.ones(3)))[..., None], 3, axis=-1)


def partly_grey(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    """Blend every channel with a random mix of all, by a random share each."""
    share = draw.uniform(0, 1, 3)
    return np.asarray(share * grey(pixels, draw) + (1 - share) * pixels)


def two_thirds_grey(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    """Replace two channels by a random mix."""
    mixed = grey(pixels, draw)
    kept = draw.integers(3)
    mixed[..., kept] = pixels[..., kept]
    return mixed


def one_partly_grey(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    """Blend one channel with a random mix."""
    blended, channel, share = pixels.copy(), draw.integers(3), draw.uniform()
    blended[..., channel] = share * grey(pixels, draw)[..., channel] + (1 - share) * pixels[..., channel]
    return blended


def blurred(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    """Blur by a Gaussian of 0.1 to 2 pixels."""
    return np.asarray(filters.gaussian(pixels, sigma=draw.uniform(0.1, 2), channel_axis=-1))


def ranked(rank: Callable[..., NDArray[np.uint8]]) -> Transform:
    """Filter each channel over a disk of radius 2 or 3."""

    def filtered(pixels: Pixels, draw: np.random.Generator) -> Pixels:
        disk = morphology.disk(int(draw.integers(2, 4)))
        whole = util.img_as_ubyte(np.clip(pixels, 0, 1))
        return np.stack([rank(whole[..., c], disk) for c in range(3)], axis=-1) / 255

    return filtered


def total_variation(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    """Denoise by total variation, with weight 0.05 to 0.3."""
    return np.asarray(
        restoration.denoise_tv_chambolle(
            pixels, weight=draw.uniform(0.05, 0.3), max_num_iter=50, channel_axis=-1
        )
    )


def wavelets(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    """Denoise by wavelets, in YCbCr."""
    return np.asarray(
        restoration.denoise_wavelet(
            np.clip(pixels, 0, 1), sigma=draw.uniform(0.01, 0.1), convert2ycbcr=True, channel_axis=-1
        )
    )


def non_local_means(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    """Denoise by non-local means over patches of 5 pixels."""
    strength = draw.uniform(0.02, 0.1)
    return np.asarray(
        restoration.denoise_nl_means(
            pixels, patch_size=5, patch_distance=3, h=strength, fast_mode=True, channel_axis=-1
        )
    )


GROUPS: Mapping[str, tuple[Transform, ...]] = {
    "colour precision": (colour_precision,),
    "JPEG": (jpeg,),
    "swirl": (swirl,),
    "noise": tuple(noise(kind) for kind in ("gaussian", "poisson", "salt", "pepper", "s&p", "speckle")),
    "FFT": (spectrum,),
    "zoom": (zoom,),
    "colour space": (
        shifted_colours(color.rgb2hsv, color.hsv2rgb, (0.05, 0.25, 0.25)),
        shifted_colours(color.rgb2xyz, color.xyz2rgb, (0.05, 0.05, 0.05)),
        shifted_colours(color.rgb2lab, color.lab2rgb, (5, 2, 2)),
        shifted_colours(color.rgb2yuv, color.yuv2rgb, (0.05, 0.02, 0.02)),
    ),
    "contrast": (equalised, equalised_locally, stretched),
    "grey": (grey, partly_grey, two_thirds_grey, one_partly_grey),
    "denoise": (
        blurred,
        ranked(filters.rank.median),
        ranked(filters.rank.mean),
        ranked(lambda image, disk: filters.rank.mean_bilateral(image, disk, s0=20, s1=20)),
        total_variation,
        wavelets,
        non_local_means,
    ),
}
"""Transforms by the group that one of them is drawn from."""


def _picture(pixels: Pixels) -> Image.Image:
    return Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8))
