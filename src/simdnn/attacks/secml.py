"""The way into secml-torch."""

from __future__ import annotations

import torch
from secmlt.adv.evasion.base_evasion_attack import BaseEvasionAttack
from secmlt.models.pytorch.base_pytorch_nn import BasePyTorchClassifier
from secmlt.optimization.constraints import Constraint
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from simdnn.attacks.attack import round_to_levels


def run(native: BaseEvasionAttack, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Run one of the library's attacks on one batch; it must be new, for a run leaves its norms behind in it."""
    batch = DataLoader(TensorDataset(images, labels), batch_size=len(images))
    with torch.random.fork_rng(devices=[]):  # the loader draws a seed, which nothing here uses
        ((attacked, _),) = native(BasePyTorchClassifier(_ToCpu(model)), batch)
    result: Tensor = attacked
    return result


class Rounded(Constraint):
    """Rounding by arithmetic; the library's own compares every pixel with every level."""

    def __init__(self, levels: int) -> None:
        self.levels = levels

    def _apply_constraint(self, x: Tensor) -> Tensor:
        return round_to_levels(x, self.levels)


class _ToCpu(nn.Module):
    """Brings the logits back; the library takes images to the network's device, but compares with labels here."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits.cpu()
