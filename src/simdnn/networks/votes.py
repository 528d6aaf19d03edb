"""What an auxiliary network says of an image under noise: how many of the noisy draws give each class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot, softmax

from simdnn.errors import InputError
from simdnn.networks.auxiliary import AuxiliaryNetwork
from simdnn.networks.reduction import reduced
from simdnn.smoothing.draws import SHORTEST_SECRET, image_seed, noise

AT_ONCE = 8
"""Draws of one image that go through the network together; on a CPU more are no faster per draw."""


@dataclass(frozen=True)
class Draws:
    """Which noise each image gets.

    Attributes
    ----------
    secret : of the guard; from it and from the image's pixels follows the noise, see :mod:`simdnn.smoothing.draws`
    n : draws of each image, at least 1

    Raises
    ------
    InputError
        If there are no draws, or the secret is too short.
    """

    secret: bytes
    n: int

    def __post_init__(self) -> None:
        if self.n < 1 or len(self.secret) < SHORTEST_SECRET:
            raise InputError(
                f"expected at least 1 draw and a secret of at least {SHORTEST_SECRET} bytes; "
                f"got {self.n} and {len(self.secret)}"
            )

    @property
    def key(self) -> str:
        """Stands for the draws where others may read: the secret is not guessed from its hash."""
        return f"{self.n} draws of {sha256(b'draws ' + self.secret).hexdigest()}"

    def seed(self, pixels: Tensor) -> int:
        """Return the seed of one image's noise.

        Parameters
        ----------
        pixels : (3, H, W) in [0, 1], at the protected network's size; rounded to 8 bits, as files have them, so that
            the seed is the same on every machine. Bytes of a file that do not change its pixels change no draw.
        """
        whole = (pixels.detach() * 255).round().clamp(0, 255).byte().cpu().contiguous()
        return image_seed(self.secret, whole.numpy().tobytes())


@torch.no_grad()
def count_votes(
    network: AuxiliaryNetwork,
    images: Tensor,
    draws: Draws,
    *,
    start: int = 0,
    enough: Callable[[int, NDArray[np.int64]], bool] | None = None,
) -> NDArray[np.int64]:
    """Count a network's classes over noisy draws of images.

    The noise is added to the reduced image, which is neither rounded nor clipped, as the certificate asks for.

    Parameters
    ----------
    network : on the images' device
    images : (N, 3, H, W) in [0, 1], at the protected network's size
    draws : which noise
    start : leave out the draws before this one
    enough : says by an image's row and counts so far whether its other draws may be left out

    Returns
    -------
    (N, classes) counts; rows sum to ``draws.n - start``, or less where there were enough.
    """
    counts = np.zeros((len(images), len(network.spec.classes)), dtype=np.int64)
    small = reduced(images, network.spec.side)
    for row, (image, looked_at) in enumerate(zip(images, small, strict=True)):
        seed = draws.seed(image)
        for first in range(start, draws.n, AT_ONCE):
            drawn = noise(seed, first, min(first + AT_ONCE, draws.n), tuple(looked_at.shape))
            noisy = looked_at + network.spec.sigma * torch.from_numpy(drawn).to(looked_at)
            given = network(noisy).argmax(dim=1)
            counts[row] += one_hot(given, counts.shape[1]).sum(dim=0).cpu().numpy()
            if enough is not None and enough(row, counts[row]):
                break
    return counts


def mean_posterior(
    network: AuxiliaryNetwork, images: Tensor, draws: int, generator: torch.Generator | None = None
) -> Tensor:
    """Return the mean softmax over fresh draws: a differentiable surrogate of the shares, for attacks.

    Parameters
    ----------
    network : on the images' device
    images : (N, 3, H, W) in [0, 1], at the protected network's size
    draws : at least 1
    generator : of the noise, on the CPU; PyTorch's own if not given

    Returns
    -------
    (N, classes), rows sum to 1.
    """
    small = reduced(images, network.spec.side)
    total = small.new_zeros(len(images), len(network.spec.classes))
    for _ in range(draws):
        drawn = torch.randn(small.shape, generator=generator, dtype=small.dtype).to(small.device)
        total = total + softmax(network(small + network.spec.sigma * drawn), dim=1)
    return total / draws
