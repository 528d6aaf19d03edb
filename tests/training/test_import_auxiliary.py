from __future__ import annotations

import json
from collections import OrderedDict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.training.conftest import BACKBONE, Command
from torch import Tensor, nn

from simdnn.cli.import_auxiliary import import_auxiliary as command_function
from simdnn.errors import InputError, WeightsError
from simdnn.networks.auxiliary import read_auxiliary, untrained
from simdnn.paper.holdout import calibration_mask
from simdnn.training.foreign import read_foreign
from simdnn.training.head import learn_head
from simdnn.training.imported import Source, import_auxiliary

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


class NotPlain:
    """Something that a checkpoint holds beside tensors; reading it takes code."""


def madry(state: dict[str, Tensor], **changes: Tensor) -> dict[str, Tensor]:
    """Return the state dict of an AttackerModel of MadryLab's robustness, in parallel training's wrapper."""
    normalizer = {"new_mean": torch.tensor(MEAN).view(3, 1, 1), "new_std": torch.tensor(STD).view(3, 1, 1)}
    names: dict[str, Tensor] = OrderedDict()
    names |= {f"module.normalizer.{name}": value for name, value in normalizer.items()}
    names |= {f"module.model.{name}": value for name, value in state.items()}
    names |= {f"module.attacker.normalize.{name}": value for name, value in normalizer.items()}
    names |= {f"module.attacker.model.{name}": value for name, value in state.items()}
    return names | changes


def checkpoint(path: Path, state: dict[str, Tensor], **more: Any) -> Path:
    torch.save({"model": state, "epoch": 3, "optimizer": {"state": {}, "param_groups": []}, **more}, path)
    return path


@pytest.fixture(scope="module")
def state(start: Path) -> dict[str, Tensor]:
    return load_file(start)


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_format_of_madrylab_is_read(tmp_path: Path, state: dict[str, Tensor]) -> None:
    found = read_foreign(checkpoint(tmp_path / "robust.ckpt", madry(state)))
    assert equal(found.state, state)
    assert (found.mean, found.std) == (MEAN, STD)


def test_the_format_of_cohen_is_read(tmp_path: Path, state: dict[str, Tensor]) -> None:
    wrapped = {f"1.module.{name}": value for name, value in state.items()}
    torch.save({"epoch": 1, "arch": "resnet18", "state_dict": wrapped}, tmp_path / "checkpoint.pth.tar")
    found = read_foreign(tmp_path / "checkpoint.pth.tar")
    assert equal(found.state, state)
    assert found.mean is None


def test_bare_state_dicts_are_read(tmp_path: Path, state: dict[str, Tensor], start: Path) -> None:
    torch.save(state, tmp_path / "bare.pt")
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "in.pt")
    for path in (tmp_path / "bare.pt", tmp_path / "in.pt", start):
        assert equal(read_foreign(path).state, state)


def test_an_attacker_with_another_network_is_refused(tmp_path: Path, state: dict[str, Tensor]) -> None:
    changes = {"module.attacker.model.fc.bias": state["fc.bias"] + 1}
    path = checkpoint(tmp_path / "robust.ckpt", madry(state, **changes))
    with pytest.raises(WeightsError, match=r"the copy of it that its attacker holds differ"):
        read_foreign(path)


def test_a_normalizer_that_differs_from_the_attackers_is_refused(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    changes = {"module.normalizer.new_mean": torch.zeros(3, 1, 1)}
    path = checkpoint(tmp_path / "robust.ckpt", madry(state, **changes))
    with pytest.raises(WeightsError, match=r"the copy of it that its attacker holds differ"):
        read_foreign(path)


def test_unknown_parts_are_refused(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = checkpoint(tmp_path / "robust.ckpt", madry(state, **{"module.extra.bias": torch.zeros(1)}))
    with pytest.raises(WeightsError, match=r"got attacker, extra, model, normalizer"):
        read_foreign(path)


def test_a_pickle_that_runs_code_is_read_only_if_it_is_trusted(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    path = checkpoint(tmp_path / "robust.ckpt", madry(state), schedule=NotPlain())
    with pytest.raises(WeightsError, match=r"reading it could run any code: .* with --trust-pickle"):
        read_foreign(path)
    assert equal(read_foreign(path, trust_pickle=True).state, state)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"\n<!DOCTYPE html><html>Sign in</html>",
            "got a web page: the download failed, or asked for a confirmation",
        ),
        (
            b"<html>Virus scan warning</html>",
            "got a web page: the download failed, or asked for a confirmation",
        ),
        (b"hello", "got a damaged or another file"),
        (b"PK\x03\x04 cut off", "got a damaged or another file .* fetch it again"),
        (b"", "got a damaged or another file"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "robust.ckpt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        read_foreign(path)


def test_missing_and_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="which is no file; check the path"):
        read_foreign(tmp_path / "none.ckpt")
    (tmp_path / "damaged.safetensors").write_bytes(b"\x10\x00")
    with pytest.raises(WeightsError, match="got a damaged or another file"):
        read_foreign(tmp_path / "damaged.safetensors")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(WeightsError, match="expected a state dict"):
        read_foreign(tmp_path / "list.pt")


def test_a_new_last_layer_is_learned_from_images_under_noise(
    tmp_path: Path, state: dict[str, Tensor], stripes: Path, command: Command
) -> None:
    """Five outputs for two classes: the features of even a random network tell these apart."""
    path, output = checkpoint(tmp_path / "robust.ckpt", madry(state)), tmp_path / "second.safetensors"
    told = command(
        command_function,
        *(
            path,
            "-o",
            output,
            "--backbone",
            BACKBONE,
            "--sigma",
            0.1,
            "--size",
            32,
            "--classes",
            stripes,
            "--device",
            "cpu",
        ),
    )
    assert told.startswith("a last layer learned from 16 images; the majority vote is right on 100.0% (")
    network = read_auxiliary(output)
    spec = network.spec
    assert (spec.kind, spec.sigma, spec.side, spec.classes) == ("smoothed", 0.1, 32, ("lying", "standing"))
    assert (spec.mean, spec.std) == (MEAN, STD)
    assert torch.equal(network.network.get_parameter("conv1.0.weight"), state["conv1.0.weight"])
    paths = np.array(sorted(stripes.rglob("*.png")))
    held = calibration_mask(np.array(["lying"] * 10 + ["standing"] * 10), 0.2, 0)
    assert spec.learned == tuple(sorted(sha256(path.read_bytes()).hexdigest() for path in paths[~held]))


def test_outputs_that_are_the_users_classes_are_kept(
    tmp_path: Path, state: dict[str, Tensor], stripes: Path, command: Command
) -> None:
    second, again = tmp_path / "second.safetensors", tmp_path / "again.safetensors"
    import_auxiliary(
        Source(checkpoint(tmp_path / "robust.ckpt", madry(state)), BACKBONE, side=32, sigma=0.1),
        second,
        stripes,
    )
    arguments = [
        second,
        "-o",
        again,
        "--backbone",
        BACKBONE,
        "--size",
        32,
        "--mean",
        "0.4,0.5,0.6",
        "--std",
        "0.2,0.25,0.3",
    ]
    told = command(command_function, *arguments, "--classes", stripes, "--json", "--device", "cpu")
    facts = json.loads(told)
    assert facts["own_outputs"] is True
    assert facts["accuracy"]["value"] == 1
    spec = read_auxiliary(again).spec
    assert (spec.kind, spec.learned, spec.classes) == ("deterministic", (), ("lying", "standing"))


def test_outputs_in_another_order_are_refused(
    tmp_path: Path, state: dict[str, Tensor], stripes: Path
) -> None:
    second = tmp_path / "second.safetensors"
    path = checkpoint(tmp_path / "robust.ckpt", madry(state))
    import_auxiliary(Source(path, BACKBONE, side=32, sigma=0.1), second, stripes)
    swapped = load_file(second)
    swapped |= {name: swapped[name].flip(0) for name in ("fc.weight", "fc.bias")}
    save_file(swapped, tmp_path / "swapped.safetensors")
    with pytest.raises(InputError, match=r"right on only 0% of their images: its outputs are other classes"):
        import_auxiliary(
            Source(tmp_path / "swapped.safetensors", BACKBONE, side=32, sigma=0.1, mean=MEAN, std=STD),
            tmp_path / "again",
            stripes,
        )


def test_imagenets_outputs_need_no_images(tmp_path: Path) -> None:
    save_file(untrained("resnet18", 1000).state_dict(), tmp_path / "imagenet.safetensors")
    import_auxiliary(Source(tmp_path / "imagenet.safetensors"), tmp_path / "second.safetensors")
    spec = read_auxiliary(tmp_path / "second.safetensors").spec
    assert (spec.side, spec.classes[0], spec.classes[217]) == (224, "tench", "English springer")


def test_unknown_outputs_need_images(tmp_path: Path, start: Path) -> None:
    with pytest.raises(
        InputError, match=r"has 5 outputs and does not say which classes they are; .*--classes"
    ):
        import_auxiliary(Source(start, BACKBONE), tmp_path / "second.safetensors")


def test_two_normalisations_are_refused(tmp_path: Path, state: dict[str, Tensor], stripes: Path) -> None:
    path = checkpoint(tmp_path / "robust.ckpt", madry(state))
    with pytest.raises(
        InputError, match=r"has a normalisation of its own, mean .* leave --mean and --std away"
    ):
        import_auxiliary(Source(path, BACKBONE, mean=MEAN), tmp_path / "second", stripes)


def test_a_file_of_another_backbone_is_refused(tmp_path: Path, start: Path, stripes: Path) -> None:
    with pytest.raises(WeightsError, match="got a file that does not fit"):
        import_auxiliary(Source(start, "resnet18"), tmp_path / "second", stripes)
    with pytest.raises(WeightsError, match="a file without its last layer; check --backbone"):
        import_auxiliary(Source(start, "mobilenet_v2"), tmp_path / "second", stripes)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_learned_head_separates_what_can_be_separated(n_classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = np.arange(60) % n_classes
    features = torch.randn(60, 7, generator=generator) * 0.1 + 5
    features[:, :3] += nn.functional.one_hot(torch.from_numpy(labels), 3)
    network = nn.Sequential(nn.Identity(), nn.Linear(7, 9))
    learn_head(network, features, labels)
    assert network(features).shape == (60, n_classes)
    assert network(features).argmax(dim=1).tolist() == labels.tolist()


def test_the_trial_network_fits_its_classes(data: Path, tmp_path: Path) -> None:
    """91 % of its majority votes were right when it was trained; of 50 photographs, 41 or more are."""
    lines = ["path,label"]
    for folder in sorted((data / "imagenette224" / "val").iterdir()):
        lines += [f"{path},{folder.name}" for path in sorted(folder.iterdir())[:5]]
    (tmp_path / "some.csv").write_text("\n".join(lines), encoding="utf-8")
    source = Source(data / "weights" / "resnet18_noise025_112.safetensors", sigma=0.25, side=112)
    found = import_auxiliary(source, tmp_path / "second.safetensors", tmp_path / "some.csv")
    assert found.own_outputs
    assert found.accuracy is not None
    assert found.held_out == 10
    assert found.accuracy.value >= 0.6  # 9 of 10 expected; fewer than 6 once in a thousand
