"""Running one of secml-torch's attacks on one batch."""

from __future__ import annotations

import torch
from secmlt.adv.evasion.base_evasion_attack import BaseEvasionAttack
from secmlt.models.pytorch.base_pytorch_nn import BasePyTorchClassifier
from secmlt.optimization.constraints import Constraint
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from simdnn.attacks.attack import round_to_levels
from simdnn.networks.device import device_of


def run_secml(library_attack: BaseEvasionAttack, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Run one of secml-torch's attacks on one batch; take a new object each time, since a run leaves state in it."""
    batch = DataLoader(TensorDataset(images, labels), batch_size=len(images))
    with torch.random.fork_rng(devices=[]):  # the loader draws a seed, which nothing here uses
        ((attacked, _),) = library_attack(_Classifier(_LogitsOnCpu(model)), batch)
    result: Tensor = attacked
    return result


class RoundedToLevels(Constraint):
    """Rounding by arithmetic; secml-torch's own constraint compares every pixel with every level."""

    def __init__(self, levels: int) -> None:
        self.levels = levels

    def _apply_constraint(self, x: Tensor) -> Tensor:
        return round_to_levels(x, self.levels)


class _Classifier(BasePyTorchClassifier):
    """A classifier whose device is found as everywhere here; secml-torch's own needs a network with parameters."""

    def _get_device(self) -> torch.device:
        return device_of(self._model)


class _LogitsOnCpu(nn.Module):
    """A network whose logits are on the CPU: secml-torch moves images to its device, but leaves labels on the CPU."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits.cpu()
