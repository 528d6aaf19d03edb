"""Run an attack of secml-torch on one batch."""

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
    """Run an attack of secml-torch on one batch: (N, 3, H, W) attacked images in [0, 1], on the CPU.

    ``library_attack`` must be a new object for each batch, since a run leaves state in it.
    """
    batch = DataLoader(TensorDataset(images, labels), batch_size=len(images))
    with torch.random.fork_rng(devices=[]):  # the loader draws a seed, which nothing here uses
        ((attacked, _),) = library_attack(_Classifier(_LogitsOnCpu(model)), batch)
    result: Tensor = attacked
    return result


class RoundedToLevels(Constraint):
    """Rounding by arithmetic; secml-torch's constraint compares every pixel with every level, which is slow."""

    def __init__(self, levels: int) -> None:
        self.levels = levels

    def _apply_constraint(self, x: Tensor) -> Tensor:
        return round_to_levels(x, self.levels)


class _Classifier(BasePyTorchClassifier):
    """A classifier whose device `device_of` finds; secml-torch's own method fails on a network without parameters."""

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
