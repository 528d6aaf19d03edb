"""What an attack is, and running one over many images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import Field, asdict, dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from simdnn.errors import InputError
from simdnn.networks.device import device_of

LEVELS = 256
"""Levels of an 8-bit channel."""


class Attack(Protocol):
    """An attack with its strength: a frozen dataclass, so that what was run can be recorded."""

    name: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch.

        Parameters
        ----------
        model : the network, on any device; (N, 3, H, W) in [0, 1] to logits (N, K)
        images, labels : (N, 3, H, W) in [0, 1] and (N,) true classes, both on the CPU
        generator : source of every random number, on the CPU

        Returns
        -------
        (N, 3, H, W) attacked images in [0, 1], on the CPU.
        """
        ...


@dataclass(frozen=True)
class AttackResult:
    """The outcome of an attack on N images; all tensors are on the CPU.

    Attributes
    ----------
    parameters : the attack's name, its strength and the seed, ready for JSON
    images : (N, 3, H, W) attacked images, float32 in [0, 1]
    images_8bit : (N, 3, H, W) the same, rounded to multiples of 1/255, as an image file holds them
    success : (N,) bool, whether the attacked image is misclassified
    success_8bit : (N,) bool, the same after rounding
    l2, linf : (N,) norms of the change, before rounding
    """

    parameters: dict[str, Any]
    images: Tensor
    images_8bit: Tensor
    success: Tensor
    success_8bit: Tensor
    l2: Tensor
    linf: Tensor


def run_attack(
    attack: Attack,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    seed: int = 0,
    batch_size: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> AttackResult:
    """Attack images, white-box and untargeted: a success is any class but the true one.

    Parameters
    ----------
    attack
        One of :data:`~simdnn.attacks.ATTACKS`, with its strength.
    model
        In evaluation mode, on any device; images (N, 3, H, W) in [0, 1] to logits (N, K), normalisation inside. It is
        left as it was.
    images, labels
        (N, 3, H, W) in [0, 1] and (N,) indices of the true classes, on the CPU; batches go to the model's device.
    seed
        Of the random numbers; each batch continues the same stream.
    progress
        Called with (images done, images in all) after every batch.

    Raises
    ------
    InputError
        If the images, the labels or the model's mode do not fit.
    """
    _check(model, images, labels)
    generator = torch.Generator().manual_seed(seed)
    attacked: list[Tensor] = []
    with _frozen(model):
        for start in range(0, len(images), batch_size):
            batch = slice(start, start + batch_size)
            attacked.append(attack.perturb(model, images[batch], labels[batch], generator).detach())
            if progress is not None:
                progress(min(start + batch_size, len(images)), len(images))
    result = torch.cat(attacked)
    rounded = round_to_levels(result)
    change = (result - images).flatten(1)
    return AttackResult(
        parameters={"attack": attack.name, **asdict(attack), "seed": seed},
        images=result,
        images_8bit=rounded,
        success=predict(model, result, batch_size) != labels,
        success_8bit=predict(model, rounded, batch_size) != labels,
        l2=change.norm(dim=1),
        linf=change.abs().amax(dim=1),
    )


def round_to_levels(images: Tensor, levels: int = LEVELS) -> Tensor:
    """Round images in [0, 1] to ``levels`` equally spaced values, both ends among them."""
    return (images * (levels - 1)).round() / (levels - 1)


@torch.no_grad()
def predict(model: nn.Module, images: Tensor, batch_size: int = 64) -> Tensor:
    """Return (N,) the class that a network predicts for each image, on the CPU."""
    device = device_of(model)
    return torch.cat(
        [model(batch.to(device)).argmax(dim=1).cpu() for batch in torch.split(images, batch_size)]
    )


def gradient_of_loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return (N, 3, H, W) the gradient of each image's cross-entropy with respect to its pixels, on the CPU."""
    device = device_of(model)
    leaf = images.detach().clone().requires_grad_()
    loss = cross_entropy(model(leaf.to(device)), labels.to(device), reduction="sum")
    (gradient,) = torch.autograd.grad(loss, leaf)
    return gradient


@torch.no_grad()
def n_classes(model: nn.Module, images: Tensor) -> int:
    """Return the number of a network's outputs, K, by running the first image."""
    return int(model(images[:1].to(device_of(model))).shape[1])


def _check(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    if model.training:
        raise InputError("expected a network in evaluation mode, got one in training mode; call model.eval()")
    if images.ndim != 4 or images.shape[1] != 3 or len(images) == 0:
        raise InputError(f"expected images of shape (N, 3, H, W), N >= 1, got {tuple(images.shape)}")
    low, high = float(images.min()), float(images.max())
    if not 0 <= low <= high <= 1:
        raise InputError(
            f"expected images in [0, 1], got values from {low:.4g} to {high:.4g}; normalise inside the network"
        )
    if labels.shape != (len(images),):
        raise InputError(f"expected {len(images)} labels, one per image, got shape {tuple(labels.shape)}")


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Switch off the gradients of a network's own parameters, and restore them after."""
    required = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, flag in required:
            parameter.requires_grad_(flag)
