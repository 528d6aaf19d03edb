"""Run an attack of pyautoattack on one batch."""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor, nn

from simdnn.attacks.attack import predict
from simdnn.networks.device import device_of


def run_pyautoattack(library_attack: Any, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Run an attack of pyautoattack on one batch.

    Parameters
    ----------
    library_attack : the attack as an object of pyautoattack
    model, images, labels : as for :meth:`simdnn.attacks.attack.Attack.perturb`

    Returns
    -------
    (N, 3, H, W) attacked images in [0, 1], on the CPU. Images that are misclassified already are returned unchanged.
    The library's warning of vanishing gradients is suppressed, since such images are returned unchanged, too.
    """
    device = device_of(model)
    correct = predict(model, images, len(images)) == labels
    attacked = images.clone()
    if correct.any():
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "there are .* points with zero gradient", Warning)
            found = library_attack.perturb(images[correct].to(device), labels[correct].to(device))
        attacked[correct] = found.detach().cpu()
    return attacked.clamp(0, 1)
