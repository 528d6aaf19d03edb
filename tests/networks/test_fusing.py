"""Batch norms fused into convolutions: the same function, and only where it is sure to be."""

from __future__ import annotations

from threading import Event, Thread

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from simdnn.networks.auxiliary import untrained
from simdnn.networks.backbone import load_backbone
from simdnn.networks.fusing import fused_norms
from simdnn.networks.weights import hash_weights

SIZE = 32


def learned(network: nn.Module) -> nn.Module:
    """Give batch norms statistics and weights as after training."""
    torch.manual_seed(1)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor, low in (
                (norm.running_mean, -1),
                (norm.running_var, 0.2),
                (norm.weight, 0.5),
                (norm.bias, -1),
            ):
                assert tensor is not None
                tensor.data.uniform_(low, 2)
    return network.eval().requires_grad_(False)


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


class Small(nn.Module):
    """One convolution and its batch norm; subclasses run them in other ways."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.norm(self.conv(images)).relu().mean((2, 3)))
        return logits


class UsedTwice(Small):
    """The convolution's output goes elsewhere, too."""

    def forward(self, images: Tensor) -> Tensor:
        maps = self.conv(images)
        logits: Tensor = self.head((self.norm(maps) + maps).mean((2, 3)))
        return logits


class RunTwice(Small):
    """The batch norm runs twice."""

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.norm(self.norm(self.conv(images))).mean((2, 3)))
        return logits


class Branches(Small):
    """Which layers run depends on the image."""

    def forward(self, images: Tensor) -> Tensor:
        maps = self.conv(images)
        logits: Tensor = self.head((self.norm(maps) if maps.sum() > 0 else maps).mean((2, 3)))
        return logits


class Elsewhere(Small):
    """Runs the convolution from a list that PyTorch does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = (self.conv,)

    def forward(self, images: Tensor) -> Tensor:
        for step in self.steps:
            images = step(images)
        logits: Tensor = self.head(self.norm(images).mean((2, 3)))
        return logits


class Counts(Small):
    """Remembers how many images it has seen."""

    seen = 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += images.shape[0]
        return super().forward(images)


@pytest.mark.parametrize(
    ("name", "left"),
    [("resnet18", 0), ("mobilenet_v2", 0), ("mnasnet0_5", 0), ("shufflenet_v2_x0_5", 0), ("densenet121", 62)],
)
def test_networks_of_torchvision_answer_as_before(name: str, left: int) -> None:
    network = learned(models.get_model(name, weights=None, num_classes=5))
    before, images = norms(network), torch.rand(2, 3, 64, 64)
    fused = fused_norms(network, (64, 64))
    expected = network(images)
    assert torch.allclose(fused(images), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
    assert norms(fused) == left < before == norms(network)


@pytest.mark.parametrize("kind", [UsedTwice, RunTwice, Branches, Elsewhere])
def test_what_is_not_sure_to_answer_as_before_is_left_as_it_is(kind: type[Small]) -> None:
    network = learned(kind())
    assert fused_norms(network, (SIZE, SIZE)) is network


def test_a_convolution_that_somebody_looks_at_is_left_as_it_is() -> None:
    network = learned(Small())
    assert fused_norms(network, (SIZE, SIZE), keep=("conv",)) is network
    assert norms(fused_norms(network, (SIZE, SIZE), keep=("norm",))) == 0
    network.conv.register_forward_hook(lambda *_: None)  # type: ignore[union-attr]
    assert fused_norms(network, (SIZE, SIZE)) is network


def test_a_backbone_runs_the_fused_network_and_keeps_the_one_that_was_given() -> None:
    network, images = learned(Small()), torch.rand(2, 3, SIZE, SIZE)
    unfused, fused = (
        load_backbone("small", layers=layers, network=network, size=SIZE)
        for layers in (("norm", "conv"), ("norm",))
    )
    assert norms(fused) == norms(unfused) == 1  # the convolution is looked at in the one, the other has both
    assert norms(fused.network) == 1
    assert fused.weights_hash == unfused.weights_hash == hash_weights(fused.network)
    expected, got = unfused(images), fused(images)
    assert torch.allclose(got.logits, expected.logits, rtol=0, atol=1e-5)
    assert torch.allclose(got.features["norm"], expected.features["norm"], rtol=0, atol=1e-5)


def test_a_network_with_a_state_keeps_it() -> None:
    network = learned(Counts())
    assert norms(fused_norms(network, (SIZE, SIZE))) == 0
    assert network.seen == 1


def test_other_threads_run_networks_meanwhile() -> None:
    network, image = untrained("shufflenet_v2_x0_5", 2).eval(), torch.rand(1, 3, 32, 32)
    failures: list[Exception] = []
    done = Event()

    def run() -> None:
        while not done.is_set():
            try:
                with torch.no_grad():
                    network(image)
            except Exception as error:
                failures.append(error)

    thread = Thread(target=run)
    thread.start()
    for _ in range(3):
        fused_norms(untrained("shufflenet_v2_x0_5", 2).eval(), (32, 32))
    done.set()
    thread.join()
    assert failures == []
