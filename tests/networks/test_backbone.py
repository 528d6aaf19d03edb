"""Backbones: layers, gradients, freezing, specifications, and the photographs they were trained for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from math import sqrt
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import get_model

from simdnn.errors import InputError
from simdnn.images.files import labelled_images
from simdnn.images.reading import read_image
from simdnn.networks.backbone import Backbone, load_backbone, restore_backbone
from simdnn.networks.spec import PENULTIMATE


class Small(nn.Module):
    """Maps, tokens and vectors, overwritten in place, and a layer that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, stride=2)
        self.relu = nn.ReLU(inplace=True)
        self.tokens = nn.Linear(5, 6)
        self.vector = nn.Linear(6, 4)
        self.idle = nn.Identity()
        self.maps = nn.Identity()
        self.pair = Pair()
        self.head = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.relu(self.conv(images))
        self.maps(maps.permute(0, 2, 3, 1))
        self.pair(maps)
        tokens = self.tokens(maps.flatten(2).transpose(1, 2))
        logits: Tensor = self.head(self.relu(self.vector(tokens.mean(1))))
        return logits


class Pair(nn.Module):
    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        return maps, maps


def small(layers: tuple[str, ...] = ()) -> tuple[Small, Backbone]:
    torch.manual_seed(1)
    network = Small()
    return network, load_backbone("small", layers=layers, network=network, size=16)


def test_one_pass_serves_all_layers_before_they_are_overwritten() -> None:
    network, backbone = small(("conv", "vector", "tokens", PENULTIMATE, "maps"))
    images = torch.rand(2, 3, 16, 16)
    logits, features = backbone(images)
    assert list(features) == ["conv", "vector", "tokens", PENULTIMATE, "maps"]
    maps = network.conv((images - backbone.mean) / backbone.std)
    rectified = maps.clamp(min=0)
    tokens = network.tokens(rectified.flatten(2).transpose(1, 2))
    vector = network.vector(tokens.mean(1))
    assert (vector < 0).any()
    torch.testing.assert_close(features["conv"], maps.mean((2, 3)))
    torch.testing.assert_close(features["maps"], rectified.mean((2, 3)))  # given with the channels last
    torch.testing.assert_close(features["tokens"], tokens.mean(1))
    torch.testing.assert_close(features["vector"], vector)
    torch.testing.assert_close(features[PENULTIMATE], vector.clamp(min=0))
    torch.testing.assert_close(logits, network.head(vector.clamp(min=0)))
    assert backbone.n_features == 5 + 4 + 6 + 4 + 5


def test_swin_maps_come_with_channels_last() -> None:
    torch.manual_seed(0)
    network = get_model("swin_t", weights=None, num_classes=2)
    backbone = load_backbone("swin", layers=("features.7", PENULTIMATE), network=network, size=64)
    assert backbone(torch.rand(1, 3, 64, 64)).features["features.7"].shape == (1, 768)


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        (
            "vektor",
            r"expected the name of a layer of this Small, got 'vektor'; close names: vector.*penultimate",
        ),
        ("idle", r"expected layer 'idle' of small to run, but it did not; name another"),
        ("pair", r"expected layer 'pair' to give \(N, d\), .*got tuple; name another layer"),
    ],
)
def test_a_layer_that_gives_no_features_is_refused(layer: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        small((layer,))


def test_a_network_without_logits_or_layers_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"expected logits of shape \(N, classes\) from maps, got \(1, 2, 224, 224\)"
    ):
        load_backbone("maps", network=nn.Conv2d(3, 2, 1))
    with pytest.raises(InputError, match="linear or convolutional layer, got none"):
        load_backbone("none", network=nn.Flatten())
    with pytest.raises(InputError, match=r"expected images of shape \(N, 3, H, W\), got \(3, 16, 16\)"):
        small()[1](torch.zeros(3, 16, 16))


def test_gradients_reach_the_image_and_never_the_parameters() -> None:
    _, backbone = small(("conv", PENULTIMATE))
    for chosen in ("logits", "conv", PENULTIMATE):
        images = torch.rand(2, 3, 16, 16, requires_grad=True)
        output = backbone(images)
        (output.logits if chosen == "logits" else output.features[chosen]).sum().backward()
        assert images.grad is not None
        assert images.grad.abs().sum() > 0
    assert all(p.grad is None and not p.requires_grad for p in backbone.parameters())


def test_the_users_network_is_left_alone_and_the_copy_stays_in_evaluation_mode() -> None:
    network, backbone = small()
    assert network.training
    assert all(p.requires_grad for p in network.parameters())
    assert not network.head._forward_pre_hooks
    assert not any(module.training for module in nn.Sequential(backbone).train()[0].modules())


def test_passes_in_threads_do_not_mix() -> None:
    _, backbone = small(("conv",))
    images = [torch.full((1, 3, 16, 16), i / 20) for i in range(20)]
    alone = [backbone(image).features["conv"] for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: backbone(image).features["conv"], images * 5))
    for i, feature in enumerate(together):
        torch.testing.assert_close(feature, alone[i % 20], rtol=0, atol=1e-6)


def test_a_specification_makes_the_same_backbone() -> None:
    network = Small()
    backbone = load_backbone(
        "small",
        layers=["conv"],
        network=network,
        mean=(0.1, 0.2, 0.3),
        std=(0.5, 0.6, 0.7),
        resize=20,
        size=(16, 18),
    )
    spec = backbone.spec
    assert (spec.preprocess.resize, spec.preprocess.std) == (20, (0.5, 0.6, 0.7))
    again = restore_backbone(spec, network=network)
    assert again.weights_hash == backbone.weights_hash
    images = torch.rand(1, 3, 16, 18)
    torch.testing.assert_close(again(images).features, backbone(images).features)


@pytest.mark.parametrize(
    ("name", "mean", "right", "of_ten"),
    [
        ("mobilenet_v2", (0.5, 0.5, 0.5), 0.676, 0.980),
        ("resnet18", None, 0.662, 0.974),
        ("squeezenet1_1", None, 0.586, 0.960),
    ],
)
def test_photographs_are_recognised_as_often_as_published(
    name: str, mean: tuple[float, float, float] | None, right: float, of_ten: float, data: Path
) -> None:
    backbone = load_backbone(name, data / "weights" / f"{name}.safetensors", mean=mean, std=mean)
    paths, _ = labelled_images(data / "imagenette224" / "val")
    images = torch.stack([backbone.spec.preprocess(read_image(path)) for path in paths[::5]])
    ten = torch.tensor([0, 217, 482, 491, 497, 566, 569, 571, 574, 701])
    truth = torch.arange(10).repeat_interleave(5)
    with torch.inference_mode():
        logits = backbone(images).logits
    for share, guesses in (
        (right, logits.argmax(1) == ten[truth]),
        (of_ten, logits[:, ten].argmax(1) == truth),
    ):
        tolerance = 3 * sqrt(share * (1 - share) * (1 / 50 + 1 / 500))
        assert abs(guesses.double().mean() - share) < tolerance
    assert backbone.categories is not None
    assert [backbone.categories[i] for i in (0, 574)] == ["tench", "golf ball"]
