"""Networks that cannot be used are refused when loaded, with advice; identities hold what determines the features."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from simdnn.errors import InputError
from simdnn.networks.backbone import load_backbone


def net(head: nn.Module | None = None, channels: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head or nn.Linear(8, 3)
    )


class Changed(nn.Module):
    """The small network, with something done to its output."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.body = net()
        self.kind = kind

    def forward(self, images: Tensor, mask: Tensor | None = None) -> object:
        logits = self.body(images)
        match self.kind:
            case "dropout":
                return nn.functional.dropout(logits)
            case "batch":
                return logits - logits.mean(0)
            case "dict":
                return {"logits": logits}
            case "one at a time":
                return logits.view(1, -1)[:, :3] if len(images) == 1 else logits.view(1, 3)
            case "mask":
                if mask is None:
                    raise TypeError("forward() missing 1 required positional argument: 'mask'")
        return logits


def traced() -> nn.Module:
    module: nn.Module = torch.jit.trace(net().eval(), torch.zeros(1, 3, 32, 32))  # type: ignore[no-untyped-call]
    return module


def with_weight_norm() -> nn.Module:
    return net(nn.utils.weight_norm(nn.Linear(8, 3)))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (traced, r"mine as a plain torch\.nn\.Module, got TorchScript.*give the network that it was made from"),
        (with_weight_norm, r"as a network that can be copied, got RuntimeError.*take weight norm off"),
        (lambda: net(nn.LazyLinear(3)), r"got lazy layers that have none yet; run it once on an image before"),
        (lambda: net(nn.Linear(8, 1)), r"at least two outputs of mine.*torch\.cat\(\[torch\.zeros_like\(x\), x\]"),
        (lambda: net(channels=1), r"its first layer takes 1 channels: .*images\.mean\(1, keepdim=True\)"),
        (lambda: net(nn.Linear(9, 3)), r"got RuntimeError: .*; give the size it takes"),
        (lambda: Changed("dict"), r"from mine, got dict; wrap it in a module that returns the logits alone"),
        (lambda: Changed("mask"), r"got TypeError: .*mask.*; wrap it in a module whose forward takes the images alone"),
        (lambda: Changed("dropout"), r"got another result the second time; switch off its randomness"),
        (lambda: Changed("batch"), r"for an image alone and in a batch, got different results; use running statistics"),
        (lambda: Changed("one at a time"), r"to take several images at once, got RuntimeError"),
        (
            lambda: nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), net()),
            r"for an image alone and in a batch",
        ),
    ],
)  # fmt: skip
def test_a_network_that_cannot_be_used_is_told_at_load(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(InputError, match=message):
        load_backbone("mine", network=make(), size=32)


def test_a_steady_network_with_dropout_layers_is_taken() -> None:
    backbone = load_backbone("mine", network=nn.Sequential(net(nn.Linear(8, 4)), nn.Dropout(0.5)), size=32)
    assert (backbone.n_classes, backbone.n_features) == (4, 8)


MODULE = """
import torch
from torch import nn

def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
"""


def test_a_module_in_the_current_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net_in_this_folder.py").write_text(MODULE)
    (tmp_path / "colorsys.py").write_text("raise RuntimeError('a module of Python was replaced')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    before = list(sys.path)
    assert load_backbone("net_in_this_folder:make", size=16).n_classes == 2
    assert sys.path == before
    with pytest.raises(InputError, match=r"ModuleNotFoundError.*lies in the current folder or is installed"):
        load_backbone("net_in_no_folder:make")
    sys.modules.pop("colorsys", None)
    with pytest.raises(InputError, match="AttributeError"):
        load_backbone("colorsys:make")


def test_the_identity_tells_whatever_decides_the_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in {"net_one": MODULE, "net_two": MODULE + "# changed"}.items():
        (tmp_path / f"{name}.py").write_text(text)
    one, two = (load_backbone(f"{name}:make", size=16).identity() for name in ("net_one", "net_two"))
    assert one == load_backbone("net_one:make", size=16).identity()
    assert set(one) == {"name", "weights", "layers", "preprocess", "versions", "sources"}
    assert set(one["versions"]) == {"torch", "torchvision", "pillow"}
    assert one["versions"]["torch"] == torch.__version__
    assert one["weights"] == two["weights"]
    assert len(one["sources"]) == len(two["sources"]) == 1
    assert one["sources"] != two["sources"]
    handed_over = load_backbone("mine", network=Changed("nothing"), size=16).identity()
    assert handed_over["sources"] == [sha256(Path(__file__).read_bytes()).hexdigest()]
    assert handed_over["layers"] == ["penultimate"]
