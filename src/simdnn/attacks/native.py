"""The ways into foolbox and pyautoattack."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from simdnn.attacks.attack import device_of, predict
from simdnn.attacks.libraries import PyTorchModel, seeded


def run_foolbox(
    native: Any,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    eps: float | None,
    **more: Any,
) -> Tensor:
    """Run one of foolbox's attacks on one batch.

    Parameters
    ----------
    native : the attack
    model, images, labels, generator : as for a recipe
    eps : budget, or None for an attack that looks for the smallest change
    **more : what this attack takes besides

    Returns
    -------
    (N, C, H, W) attacked images in [0, 1]; without a budget, an image that was not turned comes back as it was.
    A black picture is how foolbox says that it found none (C&W), and is no attack even where it turns the label.
    """
    device = device_of(model)
    wrapped = PyTorchModel(model, bounds=(0, 1), device=device)
    with seeded(generator):
        _, attacked, turned = native(wrapped, images.to(device), labels.to(device), epsilons=eps, **more)
    result: Tensor = attacked.detach().cpu()
    if eps is None:
        found = turned.cpu() & result.flatten(1).any(dim=1)
        result = torch.where(found.view(-1, 1, 1, 1), result, images)
    return result.clamp(0, 1)


def run_autoattack(native: Any, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Run one of AutoAttack's attacks on one batch; what is misclassified already comes back as it was.

    It warns of gradients that vanish, as they do on a very sure network; here, the image that stays as it was says so.
    """
    device = device_of(model)
    right = predict(model, images, len(images)) == labels
    attacked = images.clone()
    if right.any():
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "there are .* points with zero gradient", Warning)
            turned = native.perturb(images[right].to(device), labels[right].to(device))
        attacked[right] = turned.detach().cpu()
    return attacked.clamp(0, 1)
