"""torchvision's networks by name, with weights from a file or fetched; a user's own by import path."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import get_model

from simdnn.errors import InputError, WeightsError
from simdnn.networks.backbone import load_backbone
from simdnn.networks.layers import watch, watching
from simdnn.networks.loading import default_preprocess, last_layer, network_names
from simdnn.networks.spec import PENULTIMATE

WIDTHS = {
    "vgg16": 4096,
    "resnet50": 2048,
    "densenet121": 1024,
    "inception_v3": 2048,
    "mobilenet_v2": 1280,
    "shufflenet_v2_x1_0": 1024,
    "mnasnet1_0": 1280,
    "googlenet": 1024,
    "squeezenet1_1": 512,
    "vit_b_16": 768,
    "swin_t": 768,
    "convnext_tiny": 768,
    "maxvit_t": 512,
}


def built(name: str, **options: object) -> nn.Module:
    if name in {"inception_v3", "googlenet"}:
        options |= {"init_weights": False}
    torch.manual_seed(0)
    network: nn.Module = get_model(name, weights=None, **options).eval()
    return network


def saved(network: nn.Module, folder: Path) -> Path:
    path = folder / "weights.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)
    return path


@pytest.mark.parametrize(("name", "width"), WIDTHS.items())
def test_the_penultimate_features_are_what_the_head_takes(name: str, width: int) -> None:
    with torch.device("meta"):
        network = built(name)
        watch(network, [PENULTIMATE])
        with watching() as features:
            logits = network(torch.zeros(2, 3, *default_preprocess(name).size))
    assert logits.shape == (2, 1000)
    assert {layer: feature.shape for layer, feature in features.items()} == {PENULTIMATE: (2, width)}


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resnet18", 64),
        ("densenet121", 64),
        ("inception_v3", 96),
        ("mobilenet_v2", 64),
        ("shufflenet_v2_x0_5", 64),
        ("mnasnet0_5", 64),
        ("googlenet", 64),
    ],
)
def test_the_head_on_the_features_gives_the_logits(name: str, size: int, tmp_path: Path) -> None:
    network = built(name, num_classes=7)
    backbone = load_backbone(name, saved(network, tmp_path), size=size)
    images = torch.rand(2, 3, size, size)
    with torch.no_grad():
        logits, features = backbone(images)
        head = network.get_submodule(last_layer(network))
        torch.testing.assert_close(head(features[PENULTIMATE]), logits, rtol=1e-4, atol=1e-5)
        if name not in {"inception_v3", "googlenet"}:
            mean, std = backbone.mean, backbone.std
            torch.testing.assert_close(network((images - mean) / std), logits, rtol=1e-4, atol=1e-4)
    assert logits.std() > 0
    assert (backbone.n_classes, backbone.n_features) == (7, features[PENULTIMATE].shape[1])
    assert backbone.categories is None


def test_squeezenet_has_no_linear_layer_and_gives_the_input_of_its_last_convolution(tmp_path: Path) -> None:
    network = built("squeezenet1_1")
    backbone = load_backbone("squeezenet1_1", saved(network, tmp_path), size=64)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        maps = network.get_submodule("features")((images - backbone.mean) / backbone.std)
        torch.testing.assert_close(backbone(images).features[PENULTIMATE], maps.mean((2, 3)))
    assert backbone.categories is not None
    assert (backbone.categories[0], backbone.categories[217]) == ("tench", "English springer")


def test_the_auxiliary_head_is_left_out_whether_the_file_has_it_or_not(tmp_path: Path) -> None:
    network = built("googlenet", num_classes=5)
    bare = {name: t for name, t in network.state_dict().items() if not name.startswith("aux")}
    assert len(bare) < len(network.state_dict())
    save_file(bare, tmp_path / "bare.safetensors")
    with_head = load_backbone("googlenet", saved(network, tmp_path), size=64)
    assert (
        with_head.weights_hash
        == load_backbone("googlenet", tmp_path / "bare.safetensors", size=64).weights_hash
    )


def test_googlenet_sees_what_torchvision_makes_of_the_input_inside(tmp_path: Path) -> None:
    network = built("googlenet", num_classes=5, transform_input=True, aux_logits=False)
    backbone = load_backbone("googlenet", saved(network, tmp_path), size=64)
    images = torch.rand(2, 3, 64, 64)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(
            backbone(images).logits, network((images - mean) / std), rtol=1e-3, atol=1e-4
        )


def test_presets_are_torchvisions() -> None:
    plain = default_preprocess("swin_t")
    assert (plain.size, plain.resize, plain.interpolation) == ((224, 224), 232, "bicubic")
    assert plain.mean == (0.485, 0.456, 0.406)
    assert default_preprocess("inception_v3").mean == (0.5, 0.5, 0.5)
    assert default_preprocess("inception_v3").size == (299, 299)


def test_an_unknown_name_is_told_close_ones() -> None:
    assert "vgg16" in network_names()
    with pytest.raises(
        InputError, match=r"got 'resnet81'; close names: .*resnet18.*network_names\(\) lists all"
    ):
        load_backbone("resnet81")


def test_default_weights_are_taken_where_torchvision_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "hub" / "checkpoints"
    kept.mkdir(parents=True)
    network = built("squeezenet1_1")
    torch.save(network.state_dict(), kept / "squeezenet1_1-b8a52dc0.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    backbone = load_backbone("squeezenet1_1")
    assert backbone.weights_hash == load_backbone("squeezenet1_1", saved(network, tmp_path)).weights_hash
    assert backbone.spec.weights is None


def test_weights_that_cannot_be_fetched_are_asked_for_as_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens on the discard port
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(
        WeightsError,
        match=r"expected to fetch the weights of resnet18 from https://.*pth, .*give the file as weights",
    ):
        load_backbone("resnet18")


def test_a_network_of_ones_own_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_nets.py").write_text(
        "from torch import nn\n"
        "def small(): return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5), nn.ReLU(), nn.Linear(5, 2))\n"
        "def number(): return 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    state = {"1.weight": torch.ones(5, 192), "1.bias": torch.zeros(5)}
    state |= {"3.weight": torch.ones(2, 5), "3.bias": torch.zeros(2)}
    save_file(state, tmp_path / "own.safetensors")
    half = (0.5, 0.5, 0.5)
    backbone = load_backbone("own_nets:small", tmp_path / "own.safetensors", size=8, mean=half, std=half)
    logits, features = backbone(torch.ones(1, 3, 8, 8))
    assert features[PENULTIMATE].tolist() == [[192.0] * 5]
    assert logits.tolist() == [[960.0, 960.0]]
    assert (backbone.spec.preprocess.size, backbone.spec.preprocess.resize) == ((8, 8), None)
    for name, told in {
        "own_nets:large": "AttributeError",
        "no_such_nets:small": "ModuleNotFoundError",
        "own_nets:number": "expected a torch.nn.Module from 'own_nets:number', got int",
    }.items():
        with pytest.raises(InputError, match=told):
            load_backbone(name)
    with pytest.raises(
        InputError, match=r"images of shape \(N, 3, 224, 224\), got RuntimeError.*give the size"
    ):
        load_backbone("own_nets:small")
