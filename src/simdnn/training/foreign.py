"""Read checkpoints of other projects: the tensors of a torchvision network and, if present, its normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from simdnn.errors import WeightsError
from simdnn.networks.weight_file import read_weight_file
from simdnn.networks.weights import as_state_dict

Channels = tuple[float, float, float]


class Foreign(NamedTuple):
    """A state dict with torchvision's names; mean and standard deviation per channel, None if the file has none."""

    state: dict[str, Tensor]
    mean: Channels | None
    std: Channels | None


def read_foreign(path: Path, *, trust_pickle: bool = False) -> Foreign:
    """Read a checkpoint of another project, on the CPU.

    Three formats are known:

    - MadryLab's ``robustness``: a state dict under the key ``model``. The network has the prefix ``model.``, its
      normalisation ``normalizer.``, and copies of both ``attacker.``; the copies must be equal, and are dropped.
    - Cohen and others: a state dict under the key ``state_dict``. The network has the prefix ``1.``; layer 0, the
      normalisation, has no tensors.
    - RobustBench and others: a bare state dict.

    The prefix ``module.`` before all names is removed.

    Parameters
    ----------
    path, trust_pickle
        As for :func:`simdnn.networks.weight_file.read_weight_file`.

    Raises
    ------
    WeightsError
        If the file cannot be read, or has none of these formats.
    """
    return _split(_state(read_weight_file(path, trust_pickle=trust_pickle)), path)


def _state(found: object) -> object:
    """Return the state dict of a checkpoint, or the object itself if it has none."""
    if isinstance(found, dict):
        for name in ("model", "state_dict"):
            if isinstance(found.get(name), Mapping):
                return dict(found[name])
    return found


def _split(found: object, path: Path) -> Foreign:
    """Split a state dict into the network and its normalisation, by the prefixes of its format."""
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
    """Remove the prefix of parallel training, if all names have it."""
    return _below(state, "module.") if all(name.startswith("module.") for name in state) else state


def _below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _check_copy(copy: Mapping[str, Tensor], network: Mapping[str, Tensor], path: Path) -> None:
    """Raise WeightsError if the attacker's copy differs from the network."""
    same = copy.keys() == network.keys() and all(torch.equal(copy[name], network[name]) for name in network)
    if not same:
        raise WeightsError(
            f"the network in {path} and the copy of it that its attacker holds differ; expected a checkpoint as "
            "MadryLab's robustness writes it; export the network's own state_dict()"
        )


def _channels(values: Tensor) -> Channels:
    red, green, blue = (round(float(value), 6) for value in values.flatten())
    return red, green, blue
