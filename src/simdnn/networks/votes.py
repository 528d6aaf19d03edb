"""What an auxiliary network says of an image under noise, by PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softmax

from simdnn.networks.auxiliary import AuxiliaryNetwork
from simdnn.networks.device import device_of
from simdnn.networks.draws import Draws
from simdnn.networks.reduction import reduced, reduction_norm
from simdnn.networks.voter import Enough, Pixels, Voter


class TorchVoter(Voter):
    """An auxiliary network that PyTorch runs, on the device where it is.

    Parameters
    ----------
    network : the auxiliary network
    size : height and width of the images that are reduced for it
    """

    def __init__(self, network: AuxiliaryNetwork, size: tuple[int, int]) -> None:
        self.network = network
        self.size = size
        self.side, self.sigma, self.classes = network.spec.side, network.spec.sigma, network.spec.classes

    @property
    def norm(self) -> float:
        """L2 operator norm of the reduction; it is computed once for each size."""
        return reduction_norm(*self.size, self.side)

    def classifier(self, image: Pixels) -> Callable[[Pixels], NDArray[np.int64]]:
        """Return the network on one image under noise, see :meth:`Voter.classifier`."""
        device = device_of(self.network)
        with torch.no_grad():
            small = reduced(torch.from_numpy(np.ascontiguousarray(image))[None].to(device), self.side)

        @torch.no_grad()
        def classes_of(drawn: Pixels) -> NDArray[np.int64]:
            noisy = small + self.sigma * torch.from_numpy(drawn).to(small)
            classes: NDArray[np.int64] = self.network(noisy).argmax(dim=1).cpu().numpy()
            return classes

        return classes_of


def count_votes(
    network: AuxiliaryNetwork,
    images: Tensor,
    draws: Draws,
    *,
    start: int = 0,
    enough: Enough | None = None,
) -> NDArray[np.int64]:
    """Count a network's classes over noisy draws of images (N, 3, H, W); see :meth:`Voter.count`."""
    height, width = images.shape[-2:]
    voter = TorchVoter(network, (height, width))
    return voter.count(images.detach().cpu().numpy(), draws, start=start, enough=enough)


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
