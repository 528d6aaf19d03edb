"""Checkpoints of other projects: the tensors of a torchvision network, and its normalisation where they know it."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch
from torch import Tensor

from simdnn.errors import WeightsError
from simdnn.networks.weights import as_state_dict

Channels = tuple[float, float, float]


class Foreign(NamedTuple):
    """A state dict under torchvision's names; mean and deviation per channel, or None where the file has none."""

    state: dict[str, Tensor]
    mean: Channels | None
    std: Channels | None


def read_foreign(path: Path, *, trust_pickle: bool = False) -> Foreign:
    """Read a checkpoint of another project, on the CPU.

    Three formats are known. That of MadryLab's ``robustness``: the state dict lies under ``model``, the network below
    ``model.``, its normalisation below ``normalizer.``, and copies of both below ``attacker.``, which must agree and
    are dropped. That of Cohen and others: a state dict under ``state_dict`` whose network is ``1.``, the normalisation
    being layer 0 without tensors. And a bare state dict, as RobustBench's. ``module.`` may stand before all names.

    Parameters
    ----------
    path
        The file: safetensors, or what ``torch.save`` wrote.
    trust_pickle
        Whether code in the file may run. Without it, only files of tensors and plain values are read.

    Raises
    ------
    WeightsError
        If the file does not exist, is something else, is damaged, or needs to be trusted.
    """
    return _sorted_out(_state(_load(path, trust_pickle)), path)


def _load(path: Path, trust_pickle: bool) -> object:
    if not path.is_file():
        raise WeightsError(f"expected a checkpoint, got {path}, which is no file; check the path")
    with path.open("rb") as file:
        start = file.read(512)
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise WeightsError(
            f"{path} is a web page and no checkpoint: its download failed, or asked for a confirmation; open it in a "
            "browser to see why, and download the file again"
        )
    tensors = path.suffix == ".safetensors"
    if not tensors and not start.startswith((b"PK", b"\x80")):
        raise WeightsError(
            f"expected a checkpoint that torch.save wrote, or a .safetensors file, got something else in {path}; "
            "download it again"
        )
    try:
        return safetensors.torch.load_file(path) if tensors else _unpickle(path, trust_pickle)
    except WeightsError:
        raise
    except ModuleNotFoundError as error:
        raise WeightsError(
            f"{path} needs the package {error.name!r}, which is not installed; install it and try again"
        ) from error
    except Exception as error:  # damaged bytes make the readers fail with almost any type
        raise WeightsError(f"{path} is damaged ({type(error).__name__}); download it again") from error


def _unpickle(path: Path, trust_pickle: bool) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not trust_pickle:
            raise WeightsError(
                f"{path} holds more than tensors and plain values, and reading it could run any code; if you trust "
                "who made it, say so: --trust-pickle"
            ) from error
    return torch.load(path, map_location="cpu", weights_only=False)


def _state(found: object) -> object:
    """Take the state dict out of a checkpoint."""
    if isinstance(found, dict):
        for name in ("model", "state_dict"):
            if isinstance(found.get(name), Mapping):
                return dict(found[name])
    return found


def _sorted_out(found: object, path: Path) -> Foreign:
    state = _without_module(as_state_dict(found, str(path)))
    heads = {name.partition(".")[0] for name in state}
    if heads == {"1"}:
        return Foreign(_without_module(_below(state, "1.")), None, None)
    if not {"attacker", "normalizer"} & heads:
        return Foreign(state, None, None)
    if heads != {"attacker", "model", "normalizer"}:
        raise WeightsError(
            f"expected the parts model, normalizer and attacker in {path}, as MadryLab's robustness writes them, got "
            f"{', '.join(sorted(heads))}"
        )
    network, normalizer = _below(state, "model."), _below(state, "normalizer.")
    _check_copy(_below(state, "attacker.model."), network, path)
    _check_copy(_below(state, "attacker.normalize."), normalizer, path)
    if set(normalizer) != {"new_mean", "new_std"} or any(value.numel() != 3 for value in normalizer.values()):
        raise WeightsError(f"expected new_mean and new_std of three values in the normalizer of {path}")
    return Foreign(network, _channels(normalizer["new_mean"]), _channels(normalizer["new_std"]))


def _without_module(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take off the prefix that parallel training leaves on every name."""
    return _below(state, "module.") if all(name.startswith("module.") for name in state) else state


def _below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _check_copy(copy: Mapping[str, Tensor], network: Mapping[str, Tensor], path: Path) -> None:
    """Raise WeightsError where the attacker was another network than the one that is imported."""
    same = copy.keys() == network.keys() and all(torch.equal(copy[name], network[name]) for name in network)
    if not same:
        raise WeightsError(
            f"the network in {path} and the copy of it that its attacker holds differ; expected a checkpoint as "
            "MadryLab's robustness writes it; export the network's own state_dict()"
        )


def _channels(values: Tensor) -> Channels:
    red, green, blue = (round(float(value), 6) for value in values.flatten())
    return red, green, blue
