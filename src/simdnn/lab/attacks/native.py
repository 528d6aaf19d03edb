"""The ways into foolbox and pyautoattack."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from simdnn.lab.attacks.attack import device_of, predict
from simdnn.lab.attacks.libraries import PyTorchModel, seeded


def run_foolbox(
    native: Any,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    eps: float | None,
) -> Tensor:
    """Run one of foolbox's attacks on one batch.

    Parameters
    ----------
    native : the attack
    model, images, labels, generator : as for a recipe
    eps : budget, or None for an attack that looks for the smallest change

    Returns
    -------
    (N, C, H, W) attacked images in [0, 1]; without a budget, an image that was not turned comes back as it was.
    """
    device = device_of(model)
    wrapped = PyTorchModel(model, bounds=(0, 1), device=device)
    with seeded(generator):
        _, attacked, turned = native(wrapped, images.to(device), labels.to(device), epsilons=eps)
    result: Tensor = attacked.detach().cpu()
    if eps is None:
        result = torch.where(turned.cpu().view(-1, 1, 1, 1), result, images)
    return result.clamp(0, 1)


def run_autoattack(native: Any, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Run one of AutoAttack's attacks on one batch; what is misclassified already comes back as it was."""
    device = device_of(model)
    right = predict(model, images, len(images)) == labels
    attacked = images.clone()
    if right.any():
        attacked[right] = native.perturb(images[right].to(device), labels[right].to(device)).detach().cpu()
    return attacked.clamp(0, 1)
