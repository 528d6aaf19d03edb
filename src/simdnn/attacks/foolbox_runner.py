"""Run an attack of foolbox on one batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from simdnn.attacks.libraries import PyTorchModel, seeded
from simdnn.networks.device import device_of


def run_foolbox(
    library_attack: Any,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    eps: float | None,
    **more: Any,
) -> Tensor:
    """Run an attack of foolbox on one batch.

    Parameters
    ----------
    library_attack : the attack as an object of foolbox
    model, images, labels, generator : as for :meth:`simdnn.attacks.attack.Attack.perturb`
    eps : budget, or None for a minimum-norm attack
    **more : further arguments of this attack; tensors among them on the network's device

    Returns
    -------
    (N, 3, H, W) attacked images in [0, 1], on the CPU. Without a budget, images on which the attack fails are returned
    unchanged; foolbox's C&W reports a failure by a black image.
    """
    device = device_of(model)
    wrapped = PyTorchModel(model, bounds=(0, 1), device=device)
    with seeded(generator):
        _, attacked, success = library_attack(
            wrapped, images.to(device), labels.to(device), epsilons=eps, **more
        )
    result: Tensor = attacked.detach().cpu()
    if eps is None:
        found = success.cpu() & result.flatten(1).any(dim=1)
        result = torch.where(found.view(-1, 1, 1, 1), result, images)
    return result.clamp(0, 1)
