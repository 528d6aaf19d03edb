"""BaRT: Raff, Sylvester, Forsyth and McLean, "Barrage of random transforms", CVPR 2019."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from simdnn.errors import InputError
from simdnn.evaluation.defences.transforms import GROUPS

DRAWN = 5
"""Number of groups of transforms applied to each image, in random order."""


def reseed(network: nn.Module, seed: int) -> None:
    """Reset the random generator of every BaRT within a network."""
    for part in network.modules():
        if isinstance(part, BaRT):
            part.reseed(seed)


class BaRT(nn.Module):
    """A network that applies five random transforms, each of another group, to every image.

    In BaRT's paper the network is trained on transformed images, as :mod:`simdnn.training.bart` does; the tables that
    this is compared with do not say that theirs was. There is one pass, no vote over several.

    Gradients pass the transforms unchanged (BPDA with the identity): the gradient at an image is that of the network at
    the transformed image. This alone gives a weak attack (Sitawarin and others, "Demystifying the adversarial
    robustness of random transformation defenses", ICML 2022); attack through :class:`Averaged` as well.

    Parameters
    ----------
    network : images (N, 3, H, W) in [0, 1] to logits
    seed : seed of the transforms, which are drawn for each image and in each call
    """

    def __init__(self, network: nn.Module, seed: int) -> None:
        super().__init__()
        self.network = network
        self.reseed(seed)
        self.eval()

    def reseed(self, seed: int) -> None:
        """Reset the random generator."""
        self._draw = np.random.default_rng(seed)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of the transformed images; InputError if they are not (N, 3, H, W), N >= 1."""
        if images.ndim != 4 or images.shape[1] != 3 or len(images) == 0:
            raise InputError(f"expected images of shape (N, 3, H, W), N >= 1, got {tuple(images.shape)}")
        changed = self.transformed(images.detach().cpu())
        straight_through = images - images.detach()  # zero, with the gradient of the identity
        logits: Tensor = self.network(changed.to(images) + straight_through)
        return logits

    def transformed(self, images: Tensor) -> Tensor:
        """Return images (N, 3, H, W) in [0, 1], each changed by random transforms of its own."""
        return torch.stack([self._transformed(image) for image in images])

    def _transformed(self, image: Tensor) -> Tensor:
        pixels = image.permute(1, 2, 0).double().numpy()
        for group in self._draw.permutation(len(GROUPS))[:DRAWN]:
            transforms = list(GROUPS.values())[group]
            transform = transforms[self._draw.integers(len(transforms))]
            pixels = np.clip(transform(pixels, self._draw), 0, 1)
        return torch.from_numpy(pixels).float().permute(2, 0, 1)
