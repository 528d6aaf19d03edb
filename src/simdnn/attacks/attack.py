"""The interface of attacks, and running an attack on many images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import Field, asdict, dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from simdnn.errors import InputError
from simdnn.networks.device import device_of
from simdnn.progress import Progress

LEVELS = 256
"""Number of levels of an 8-bit channel."""


class Attack(Protocol):
    """An attack with its parameters: a frozen dataclass, so that the parameters can be recorded."""

    name: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Attack one batch.

        Parameters
        ----------
        model : the network, on any device; (N, 3, H, W) in [0, 1] to logits (N, K)
        images, labels : (N, 3, H, W) in [0, 1] and (N,) true classes, both on the CPU
        generator : source of all random numbers, on the CPU

        Returns
        -------
        (N, 3, H, W) attacked images in [0, 1], on the CPU.
        """
        ...


@dataclass(frozen=True)
class AttackResult:
    """Result of an attack on N images; all tensors are on the CPU.

    Attributes
    ----------
    parameters : the attack's name and parameters, and the seed, for JSON
    images : (N, 3, H, W) attacked images, float32 in [0, 1]
    images_8bit : (N, 3, H, W) the same, rounded to multiples of 1/255, as an image file holds them
    success : (N,) bool, whether the attacked image is misclassified
    success_8bit : (N,) bool, the same after rounding
    l2, linf : (N,) norms of the perturbation, before rounding
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
    progress: Progress | None = None,
) -> AttackResult:
    """Run an untargeted attack on many images: success is any class but the true one.

    Parameters
    ----------
    attack
        One of :data:`~simdnn.attacks.ATTACKS`, with its parameters.
    model
        The network, in evaluation mode, on any device: images (N, 3, H, W) in [0, 1] to logits (N, K), with the
        normalisation inside. It is not changed.
    images, labels
        (N, 3, H, W) in [0, 1] and (N,) indices of the true classes, on the CPU; batches go to the model's device.
    seed
        Seed of the random numbers; each batch continues the same stream.
    batch_size
        Number of images attacked together.
    progress
        Called after every batch.

    Raises
    ------
    InputError
        If the model is in training mode, the images have another shape or range, or the labels another shape.
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
    """Round images in [0, 1] to ``levels`` equally spaced values, from 0 to 1."""
    return (images * (levels - 1)).round() / (levels - 1)


@torch.no_grad()
def predict(model: nn.Module, images: Tensor, batch_size: int = 64) -> Tensor:
    """Return (N,) predicted classes of images (N, 3, H, W) in [0, 1], on the CPU."""
    device = device_of(model)
    return torch.cat(
        [model(batch.to(device)).argmax(dim=1).cpu() for batch in torch.split(images, batch_size)]
    )


def gradient_of_loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return (N, 3, H, W) gradients of the cross-entropy with respect to the pixels, on the CPU."""
    device = device_of(model)
    leaf = images.detach().clone().requires_grad_()
    loss = cross_entropy(model(leaf.to(device)), labels.to(device), reduction="sum")
    (gradient,) = torch.autograd.grad(loss, leaf)
    return gradient


@torch.no_grad()
def n_classes(model: nn.Module, images: Tensor) -> int:
    """Return the number of a network's outputs, K, by a pass of the first image."""
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
    """Switch off the gradients of a network's parameters in the block, and restore them after it."""
    required = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, flag in required:
            parameter.requires_grad_(flag)
