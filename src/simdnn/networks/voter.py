"""What an auxiliary network says of an image under noise, whatever runs the network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from simdnn.networks.draws import Draws
from simdnn.smoothing.draws import noise

AT_ONCE = 8
"""Draws of one image that go through the network together; on a CPU more are no faster per draw."""

BETWEEN_LOOKS = 4
"""The same where an image's draws may end early; fewer together would cost more each."""

Pixels = NDArray[np.float32]
Enough = Callable[[int, NDArray[np.int64]], bool]
"""Says by an image's row and counts so far whether its other draws may be left out."""


class Voter(ABC):
    """An auxiliary network that votes on images: how many of the noisy draws give each class.

    The noise is added to the reduced image, which is neither rounded nor clipped, as the certificate asks for.

    Attributes
    ----------
    side : height and width of the reduced image, in pixels
    sigma : standard deviation of the noise, for pixels in [0, 1]; 0 for a network trained without noise
    classes : names of the network's outputs
    norm : L2 operator norm of the reduction of an image, see :mod:`simdnn.smoothing.operator_norm`
    """

    side: int
    sigma: float
    classes: tuple[str, ...]

    @property
    @abstractmethod
    def norm(self) -> float:
        """L2 operator norm of the reduction of an image."""

    @abstractmethod
    def classifier(self, image: Pixels) -> Callable[[Pixels], NDArray[np.int64]]:
        """Return the network on one image (3, H, W) under noise.

        The function takes standard normal noise (D, 3, side, side) and returns (D,) classes by number.
        """

    def count(
        self, images: Pixels, draws: Draws, *, start: int = 0, enough: Enough | None = None
    ) -> NDArray[np.int64]:
        """Count the classes over noisy draws of images.

        Parameters
        ----------
        images : (N, 3, H, W) in [0, 1], at the protected network's size
        draws : which noise
        start : leave out the draws before this one
        enough : where an image's draws may end early

        Returns
        -------
        (N, classes) counts; rows sum to ``draws.n - start``, or less where there were enough.
        """
        together = AT_ONCE if enough is None else BETWEEN_LOOKS
        counts = np.zeros((len(images), len(self.classes)), dtype=np.int64)
        for row, image in enumerate(images):
            seed, classes_of = draws.seed(image), self.classifier(image)
            for first in range(start, draws.n, together):
                drawn = noise(seed, first, min(first + together, draws.n), (3, self.side, self.side))
                counts[row] += np.bincount(classes_of(drawn), minlength=len(self.classes))
                if enough is not None and enough(row, counts[row]):
                    break
        return counts
