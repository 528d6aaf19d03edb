"""A classifier and its guard as one PyTorch module."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from simdnn.errors import InputError, WeightsError
from simdnn.guard.guard import Guard
from simdnn.guard.verdict import Verdict
from simdnn.networks.trial import own_copy
from simdnn.networks.weights import hash_weights


class Guarded(NamedTuple):
    """What a guarded classifier gives: the logits as without a guard, and a verdict on each image."""

    logits: Tensor
    verdicts: list[Verdict]


class GuardedModule(nn.Module):
    """A classifier whose answers come with verdicts; made by :func:`guard_module`.

    Attributes
    ----------
    model : the classifier, unchanged
    guard : its guard
    """

    def __init__(self, model: nn.Module, guard: Guard) -> None:
        super().__init__()
        self.model = model
        self.guard = guard
        preprocess = guard.networks[0].spec.preprocess
        self.register_buffer("_mean", torch.tensor(preprocess.mean).reshape(3, 1, 1), persistent=False)
        self.register_buffer("_std", torch.tensor(preprocess.std).reshape(3, 1, 1), persistent=False)
        self._mean: Tensor
        self._std: Tensor

    def forward(self, images: Tensor) -> Guarded:
        """Classify and judge.

        Parameters
        ----------
        images : (N, 3, H, W) of the guard's size, normalised as the classifier takes them

        Raises
        ------
        InputError
            If the images have another shape.
        """
        size = self.guard.networks[0].spec.preprocess.size
        if images.ndim != 4 or tuple(images.shape[1:]) != (3, *size):
            raise InputError(
                f"expected images of shape (N, 3, {size[0]}, {size[1]}), got {tuple(images.shape)}"
            )
        logits = self.model(images)
        with torch.no_grad():
            pixels = images.detach().to(self._mean.device) * self._std + self._mean
            # normalising and back again rounds: what ends a hair beside a value of 8 bits was that value
            levels = (pixels * 255).round().clamp(0, 255) / 255
            near = torch.where((pixels - levels).abs() < _HAIR, levels, pixels)
        return Guarded(logits, self.guard.check_tensors(near))


_HAIR = 1e-5


def guard_module(model: nn.Module, guard: Guard | Path | str) -> GuardedModule:
    """Return a classifier that gives the model's logits, unchanged, and beside them verdicts on the images.

    Parameters
    ----------
    model : the classifier that the guard protects, with the weights that the guard was fitted with
    guard : the guard, or its file; networks other than the model are found as :meth:`Guard.load` finds them

    Raises
    ------
    ModelFileError
        If the file is no guard.
    WeightsError
        If the guard protects another network.

    Examples
    --------
    ::

        guarded = simdnn.guard_module(model, "guard.simdnn")
        logits, verdicts = guarded(images)
    """
    if not isinstance(guard, Guard):
        known = Guard.read(guard)
        others = len(known.networks) - 1 + (known.auxiliary is not None)
        guard = Guard.load(guard, networks=[model, *[None] * others])
    name = guard.networks[0].spec.name
    found, expected = hash_weights(own_copy(model, name)), guard.networks[0].weights_hash
    if found != expected:
        raise WeightsError(
            f"the guard protects a network with other weights: expected SHA-256 {expected[:16]}..., got "
            f"{found[:16]}...; guard the model that the guard was fitted with, or fit it again"
        )
    guard.extractor  # noqa: B018  # errors now rather than at the first image
    return GuardedModule(model, guard)
