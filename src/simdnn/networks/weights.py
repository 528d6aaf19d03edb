"""Weight files: reading them, fitting them into a network, and naming them by a hash."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from simdnn.errors import WeightsError

# DenseNet's published files still use the names of its first version, such as "denselayer1.norm.1.weight".
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a file, on the CPU; no code in the file is ever run.

    Parameters
    ----------
    path
        A ``.safetensors`` file, or a ``.pth`` or ``.pt`` file with a state dict, bare or under the key
        ``state_dict``. The prefix ``module.`` that parallel training leaves on every name is taken off.

    Raises
    ------
    WeightsError
        If the file does not exist, is damaged, or holds something else.
    """
    if not path.is_file():
        raise WeightsError(
            f"expected a file with network weights, got {path}, which is no file; check the path"
        )
    if path.suffix not in {".safetensors", ".pth", ".pt"}:
        raise WeightsError(f"expected weights in a .safetensors, .pth or .pt file, got {path}")
    found: object
    try:
        if path.suffix == ".safetensors":
            found = safetensors.torch.load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make the readers fail with almost any type
        raise WeightsError(
            f"expected network weights in {path}, got a damaged file or objects other than tensors "
            f"({type(error).__name__}); save the network's state_dict() again"
        ) from error
    return as_state_dict(found, str(path))


def as_state_dict(found: object, origin: str) -> dict[str, Tensor]:
    """Unwrap what a weight file holds to names and tensors; WeightsError, naming ``origin``, if it is neither."""
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not found or not all(isinstance(v, Tensor) for v in found.values()):
        raise WeightsError(
            f"expected a state dict (names and tensors) in {origin}, got {type(found).__name__}; "
            "save the network's state_dict()"
        )
    prefix = "module." if all(name.startswith("module.") for name in found) else ""
    return {_OLD_DENSENET.sub(r"\1\2.", name.removeprefix(prefix)): found[name] for name in found}


def fit_weights(network: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Put a state dict into a network, also into one that was built on the meta device.

    Floating-point tensors become float32. Batch norm's counters of batches, which inference does not use, may be
    absent. A network whose batch norm was folded into its convolutions fits if the file keeps the batch norm's
    tensors, with mean 0 and variance 1, as an export to the same architecture does.

    Raises
    ------
    WeightsError
        If names are missing or unexpected, or shapes differ; the first of each are listed.
    """
    own = network.state_dict()
    needed = [name for name in own if not name.endswith("num_batches_tracked")]
    faults = {
        "missing": [name for name in needed if name not in state],
        "unexpected": [name for name in state if name not in own],
        "misshapen": [
            f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
            for name in own
            if name in state and state[name].shape != own[name].shape
        ],
    }
    if any(faults.values()):
        told = "; ".join(f"{_first(names)} {kind}" for kind, names in faults.items() if names)
        raise WeightsError(
            f"expected the weights of a {type(network).__name__} with {len(needed)} tensors in {origin}, "
            f"got a file that does not fit: {told}; check the network's name or choose another file"
        )
    for name in own:  # the same mapping goes back: it carries the version that some networks ask for
        tensor = state.get(name, torch.zeros((), dtype=torch.int64))
        own[name] = tensor.float() if tensor.is_floating_point() else tensor
    network.load_state_dict(own, assign=True)


def hash_weights(network: nn.Module) -> str:
    """Name a network's weights: SHA-256, in hexadecimal, over names, types, shapes and values in sorted order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _first(names: Iterable[str], limit: int = 3) -> str:
    """Name the first few, and say how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more
