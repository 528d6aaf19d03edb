"""Weight files: what is read, what is refused, and how weights are named."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from simdnn.errors import WeightsError
from simdnn.networks.weights import fit_weights, hash_weights, read_weights


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def loaded(path: Path) -> nn.Module:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    fit_weights(network, read_weights(path), str(path))
    return network


def variants(state: dict[str, Tensor]) -> dict[str, object]:
    return {
        "bare.pth": state,
        "wrapped.pt": {"epoch": 3, "state_dict": state},
        "parallel.pth": {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
        "old.pth": {name: tensor for name, tensor in state.items() if "num_batches" not in name},
        "references.pth": {"model": state, "optimizer": {"state": {}}, "args": None, "epoch": 3},
        "model_state_dict.pth": {"model_state_dict": state, "epoch": 1},
        "lightning.ckpt": {"state_dict": {f"model.{name}": t for name, t in state.items()}, "epoch": 1},
        "with_a_loss.ckpt": {
            "state_dict": {"loss.weight": torch.ones(2)} | {f"net.{name}": t for name, t in state.items()}
        },
        "compiled.pth": {f"_orig_mod.{name}": tensor for name, tensor in state.items()},
        "parallel_compiled.pth": {f"module._orig_mod.{name}": tensor for name, tensor in state.items()},
        "only_the_average.pth": {"epoch": 3, "model_ema": {"n_averaged": torch.tensor(3)} | state_in(state)},
        "average_too.pth": {"state_dict": state, "state_dict_ema": {n: t + 1 for n, t in state.items()}},
        "deep.pth": {"ema": {"module": state_in(state), "decay": 0.99}},
        "checkpoint.pth.tar": {"state_dict": state},
        "pytorch_model.bin": state,
        "NAMED.PTH": state,
    }


def state_in(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"module.{name}": tensor for name, tensor in state.items()}


@pytest.mark.parametrize("name", variants({}))
def test_the_same_weights_in_any_wrapping(name: str, tmp_path: Path) -> None:
    torch.save(variants(net().state_dict())[name], tmp_path / name)
    assert hash_weights(loaded(tmp_path / name)) == hash_weights(net())


def test_what_was_done_to_a_checkpoint_is_on_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "simdnn")
    for name in ("parallel.pth", "with_a_loss.ckpt", "average_too.pth"):
        torch.save(variants(net().state_dict())[name], tmp_path / name)
        loaded(tmp_path / name)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", f"{tmp_path}/parallel.pth: took the prefix 'module.' off the names"),
        (
            "WARNING",
            f"{tmp_path}/with_a_loss.ckpt: took the prefix 'net.' off the names and left out loss.weight",
        ),
        (
            "WARNING",
            f"{tmp_path}/average_too.pth: took the weights under 'state_dict'; it also has state_dict_ema",
        ),
    ]


def test_a_network_of_its_own_prefix_keeps_it() -> None:
    network = nn.ModuleDict({"model": net()})
    fit_weights(network, network.state_dict(), "own.pth")
    wrapped = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    fit_weights(network, wrapped, "wrapped.pth")
    assert hash_weights(network) == hash_weights(nn.ModuleDict({"model": net()}))


def test_a_file_of_two_networks_is_refused() -> None:
    state = net().state_dict()
    both = {f"{side}.{name}": t for side in ("teacher", "student") for name, t in state.items()}
    with pytest.raises(
        WeightsError, match=r"got several, under student\. and teacher\.; save the state_dict"
    ):
        fit_weights(net(), both, "both.pth")


def test_a_part_of_another_network_is_not_taken_for_it() -> None:
    other = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), nn.Linear(4, 2))
    with pytest.raises(
        WeightsError, match=r"got a file that does not fit: 0\.weight, 0\.bias, 1\.running_mean"
    ):
        fit_weights(net(), other.state_dict(), "other.pth")


def test_half_precision_becomes_float32(tmp_path: Path) -> None:
    half = {name: t.half() if t.is_floating_point() else t for name, t in net().state_dict().items()}
    save_file(half, tmp_path / "half.safetensors")
    network = loaded(tmp_path / "half.safetensors")
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, half[name].to(tensor.dtype), rtol=0, atol=0)


def test_densenets_first_names_are_understood(tmp_path: Path) -> None:
    torch.save({"features.denseblock1.denselayer2.norm.1.weight": torch.ones(2)}, tmp_path / "old.pth")
    assert list(read_weights(tmp_path / "old.pth")) == ["features.denseblock1.denselayer2.norm1.weight"]


def test_the_hash_is_stable_and_tells_any_change() -> None:
    state = net().state_dict()
    names = {hash_weights(net()), hash_weights(net().to(memory_format=torch.channels_last))}
    assert len(names) == 1
    for name, change in (("3.bias", 1e-6), ("1.running_mean", 1.0)):
        network = net()
        fit_weights(network, {**state, name: state[name] + change}, "changed")
        names.add(hash_weights(network))
    names.add(hash_weights(nn.ModuleDict({"other": net()})))
    names.add(hash_weights(net().bfloat16()))
    assert len(names) == 5
    assert all(len(name) == 64 for name in names)


def test_what_does_not_fit_is_listed() -> None:
    state = net().state_dict()
    state["extra.weight"] = torch.zeros(1)
    state["3.bias"] = torch.zeros(9)
    del state["0.weight"], state["1.bias"]
    with pytest.raises(WeightsError) as caught:
        fit_weights(net(), state, "some.pth")
    assert "of a Sequential with 8 tensors in some.pth" in str(caught.value)
    assert "0.weight, 1.bias missing; extra.weight unexpected; 3.bias (9,) instead of (2,) misshapen" in str(
        caught.value
    )


def test_long_lists_are_cut() -> None:
    with pytest.raises(WeightsError, match=r"0\.weight, 0\.bias, 1\.weight and 5 more missing"):
        fit_weights(net(), {}, "empty.pth")


class Danger:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("code in a weight file was run",))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.safetensors", b"no tensors", "got a damaged or another file"),
        ("a.pth", b"", "got a damaged or another file"),
        (
            "a.pth",
            pickle.dumps({"state_dict": Danger()}, protocol=2),
            "got other objects or a damaged file; reading it could",
        ),
        ("a.pth", b"\n<!DOCTYPE html><html>404", "got a web page: the download failed.*fetch the file again"),
        (
            "a.bin",
            b"version https://git-lfs.github.com/spec/v1\n",
            "got a pointer of Git LFS; fetch the file",
        ),
        ("a.onnx", b"x", "got a damaged or another file"),
    ],
)
def test_a_file_that_holds_no_weights_is_refused(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        read_weights(tmp_path / name)


def test_other_contents_and_missing_files_are_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(
        WeightsError, match=r"expected a state dict .* got list; save the network's state_dict"
    ):
        read_weights(tmp_path / "list.pt")
    with pytest.raises(WeightsError, match=r"absent\.pth, which is no file; check the path"):
        read_weights(tmp_path / "absent.pth")
