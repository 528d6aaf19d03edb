"""Running one of pyautoattack's attacks on one batch."""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor, nn

from simdnn.attacks.attack import predict
from simdnn.networks.device import device_of


def run_pyautoattack(library_attack: Any, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Run one of pyautoattack's attacks on one batch.

    Returns
    -------
    (N, 3, H, W) attacked images in [0, 1], on the CPU; what was misclassified before comes back unchanged. The
    library's warning of vanishing gradients is dropped: the image that comes back unchanged shows them.
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
