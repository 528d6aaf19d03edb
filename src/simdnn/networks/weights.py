"""Network weights: state dicts from files, loading them into a network, and hashing them."""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from simdnn.errors import WeightsError
from simdnn.networks.weight_file import read_weight_file

STATE_KEYS = (
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "ema_state_dict",
    "state_dict_ema",
    "model_ema",
    "ema",
    "module",
    "params",
)
"""Keys under which checkpoints hold a state dict, in order of preference: the network before its running average."""

_log = logging.getLogger(__name__)

# DenseNet's published files still use the names of its first version, such as "denselayer1.norm.1.weight".
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a file, on the CPU; code in the file is never run.

    Parameters
    ----------
    path
        A file of safetensors or ``torch.save``, with any suffix, that holds a state dict: bare, or in a checkpoint
        under one of `STATE_KEYS`.

    Raises
    ------
    WeightsError
        If it cannot be read, see :func:`simdnn.networks.weight_file.read_weight_file`, or holds no state dict.
    """
    return as_state_dict(read_weight_file(path), str(path))


def as_state_dict(found: object, origin: str) -> dict[str, Tensor]:
    """Return the state dict in the content of a weight file, as names and tensors.

    Parameters
    ----------
    found
        A state dict, or a checkpoint that holds one under the first of `STATE_KEYS` that it has, at any depth. If it
        holds several, such as a running average as well, a warning is logged that says which was taken.
    origin
        Where it comes from, for the texts of errors.

    Raises
    ------
    WeightsError
        If there is no state dict.
    """
    inside = origin
    while isinstance(found, dict) and not (found and all(isinstance(v, Tensor) for v in found.values())):
        keys = [key for key in STATE_KEYS if isinstance(found.get(key), dict)]
        if not keys:
            break
        inside += f"[{keys[0]!r}]"
        if len(keys) > 1:
            _log.warning(
                "%s: took the weights under %r; it also has %s", origin, keys[0], ", ".join(keys[1:])
            )
        found = found[keys[0]]
    if not isinstance(found, dict) or not found or not all(isinstance(v, Tensor) for v in found.values()):
        got = (
            f"a dict of {_first(map(str, found)) or 'nothing'}"
            if isinstance(found, dict)
            else type(found).__name__
        )
        raise WeightsError(
            f"expected a state dict (names and tensors) in {inside}, got {got}; save the network's state_dict()"
        )
    return {
        _OLD_DENSENET.sub(r"\1\2.", str(name).replace("_orig_mod.", "")): tensor
        for name, tensor in found.items()
    }


def named_as(own: Collection[str], state: Mapping[str, Tensor], origin: str) -> dict[str, Tensor]:
    """Remove the prefix from the names of a state dict, such as ``module.`` or ``model.``.

    Such prefixes come from parallel training, Lightning and the like, which put the network inside another module.
    Other tensors in the file, such as a teacher's, are left out, with a message on the log.

    Parameters
    ----------
    own
        The names of the network's tensors.
    state
        The state dict of the file.
    origin
        Where it comes from, for the log and the texts of errors.

    Raises
    ------
    WeightsError
        If the file holds the whole network more than once, under several prefixes.
    """
    needed = _needed(own)
    matches = Counter(p for name in state for p in _prefixes(name) if name[len(p) :] in needed)
    if matches[""] == len(needed):
        return dict(state)
    whole = [p for p, count in matches.items() if count == len(needed) or all(n.startswith(p) for n in state)]
    whole = [p for p in whole if matches[p] == max(matches[other] for other in whole)]
    if not whole:
        return dict(state)
    if len(whole) > 1:
        raise WeightsError(
            f"expected the weights of one network in {origin}, got several, under {' and '.join(sorted(whole))}; "
            "save the state_dict() of the one you mean"
        )
    prefix = whole[0]
    rest = [name for name in state if not name.startswith(prefix)]
    if not prefix:
        return dict(state)
    _log.log(
        logging.WARNING if rest else logging.INFO,
        "%s: took the prefix %r off the names%s",
        origin,
        prefix,
        f" and left out {_first(rest)}" if rest else "",
    )
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _needed(own: Iterable[str]) -> dict[str, None]:
    """Return the names without batch norm's counters, which inference does not use; a dict, to keep the order."""
    return {name: None for name in own if not name.endswith("num_batches_tracked")}


def _prefixes(name: str) -> Iterator[str]:
    """Yield "", "a.", "a.b." for "a.b.c"."""
    parts = name.split(".")
    return ("".join(f"{part}." for part in parts[:i]) for i in range(len(parts)))


def fit_weights(network: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Load a state dict into a network, which may be on the meta device.

    A prefix of the names is removed, see `named_as`. Floating-point tensors become float32. Batch norm's counters of
    batches, which inference does not use, may be missing. If batch norm was folded into the convolutions, the file
    must still have its tensors, with mean 0 and variance 1.

    Raises
    ------
    WeightsError
        If names are missing or unexpected, or shapes differ (the first few are listed), or the file holds several
        networks.
    """
    own = network.state_dict()
    state = named_as(own, state, origin)
    needed = _needed(own)
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
        listed = "; ".join(f"{_first(names)} {kind}" for kind, names in faults.items() if names)
        raise WeightsError(
            f"expected the weights of a {type(network).__name__} with {len(needed)} tensors in {origin}, "
            f"got a file that does not fit: {listed}; check the network's name or choose another file"
        )
    for name in own:  # filled in place, since this mapping carries the version that some networks need
        tensor = state.get(name, torch.zeros((), dtype=torch.int64))
        own[name] = tensor.float() if tensor.is_floating_point() else tensor
    network.load_state_dict(own, assign=True)


def hash_weights(network: nn.Module) -> str:
    """Return the SHA-256, in hexadecimal, of a network's tensors: names, types, shapes and values, sorted by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _first(names: Iterable[str], limit: int = 3) -> str:
    """List the first few names, and the number of the others."""
    listed = list(names)
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more
