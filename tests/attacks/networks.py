"""A linear network's optimum, another small network, and the attacks that all tests share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from simdnn.attacks import (
    DDN,
    FGSM,
    PGD,
    Attack,
)
from simdnn.attacks.adaptive import GuardedOutput
from simdnn.attacks.apgd import APGD
from simdnn.attacks.cw import CW
from simdnn.attacks.deepfool import DeepFool
from simdnn.attacks.fab import FAB
from simdnn.attacks.fmn import FMN
from simdnn.attacks.hopskipjump import HopSkipJump
from simdnn.attacks.mifgsm import MIFGSM
from simdnn.attacks.pgd_l2 import PGDL2
from simdnn.attacks.square import Square

ATTACKS: list[Attack] = [
    FGSM(eps=0.05),
    PGD(eps=0.05, steps=10, step_size=0.02),
    DDN(steps=30),
    CW(steps=20, searches=3),
    DeepFool(),
    FMN(steps=20),
    APGD(eps=0.05, steps=10),
    FAB(eps=0.05, steps=10),
    Square(eps=0.05, queries=50),
    MIFGSM(eps=0.05),
    PGDL2(eps=0.5),
    HopSkipJump(steps=2, queries=20),
]
"""All but AutoAttack, which is made of others and needs three classes."""
SHAPE = (3, 8, 8)


def by_name(attack: Attack) -> str:
    return attack.name


def weight_of_margin(network: nn.Module) -> Tensor:
    weight = network.get_parameter("1.weight").detach()
    return weight[0] - weight[1]


def margins(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Logit of the true class less that of the other."""
    with torch.no_grad():
        logits = network(images)
    rows = torch.arange(len(images))
    difference: Tensor = logits[rows, labels] - logits[rows, 1 - labels]
    return difference


class Brightness(nn.Module):
    """Class 1 above a mean of 0.4, as noise is; class 0 below, as a black picture is."""

    def __init__(self) -> None:
        super().__init__()
        self.steepness = nn.Parameter(torch.tensor(10.0))

    def forward(self, images: Tensor) -> Tensor:
        bright = self.steepness * (images.flatten(1).mean(dim=1) - 0.4)
        return torch.stack([-bright, bright], dim=1)


class ImagesReceived(Exception):  # noqa: N818
    """Images came to the network on its device."""


class NetworkOnMeta(nn.Module):
    """A network, and a guarded model, on the meta device: it raises ImagesReceived for images on that device."""

    threshold = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("place", torch.zeros(1, device="meta"))
        self.eval()

    def forward(self, images: Tensor, output: Tensor | None = None) -> GuardedOutput:
        assert images.device.type == "meta"
        assert output is None or output.device.type == "meta"
        raise ImagesReceived("images on the meta device")

    def target_logits(self, images: Tensor) -> Tensor:
        """On the CPU, so that attacks go on to their first step."""
        assert images.device.type == "meta"
        return torch.arange(2.0).expand(len(images), 2)

    def deployed(self, images: Tensor) -> GuardedOutput:
        found: GuardedOutput = self(images)
        return found
