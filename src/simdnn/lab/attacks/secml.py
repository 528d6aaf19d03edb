"""The way into secml-torch."""

from __future__ import annotations

from secmlt.adv.evasion.base_evasion_attack import BaseEvasionAttack
from secmlt.models.pytorch.base_pytorch_nn import BasePyTorchClassifier
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


def run(native: BaseEvasionAttack, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Run one of the library's attacks on one batch; it must be new, for a run leaves its norms behind in it."""
    batch = DataLoader(TensorDataset(images, labels), batch_size=len(images))
    ((attacked, _),) = native(BasePyTorchClassifier(_ToCpu(model)), batch)
    result: Tensor = attacked
    return result


class _ToCpu(nn.Module):
    """Brings the logits back; the library takes images to the network's device, but compares with labels here."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits.cpu()
