"""Which noise each image gets when an auxiliary network is asked about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from simdnn.errors import InputError
from simdnn.smoothing.draws import SHORTEST_SECRET, image_seed


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

    secret: bytes = field(repr=False)
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

    def seed(self, pixels: NDArray[np.float32]) -> int:
        """Return the seed of one image's noise: any other pixels have another.

        Parameters
        ----------
        pixels : (3, H, W) in [0, 1], at the protected network's size. Those of a file are whole 255ths, and count as 8
            bits each; bytes of a file that do not change its pixels change no draw.
        """
        whole = np.clip(np.rint(pixels * np.float32(255)), 0, 255).astype(np.uint8)
        if np.array_equal(whole / np.float32(255), pixels):
            return image_seed(self.secret, whole.tobytes())
        return image_seed(self.secret, np.ascontiguousarray(pixels, dtype=np.float32).tobytes())

    def for_certificate(self, n: int) -> Draws:
        """Return ``n`` draws for a certificate: others than the rule's, so that luck with those makes no radius."""
        return Draws(sha256(b"certify " + self.secret).digest(), n)
