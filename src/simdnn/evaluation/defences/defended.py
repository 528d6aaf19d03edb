"""Find a defence by its name."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import file_digest
from pathlib import Path

from torch import nn

from simdnn.errors import InputError
from simdnn.evaluation.defences.bart import BaRT
from simdnn.evaluation.defences.resupnet import ResUpNet, load_denoiser
from simdnn.evaluation.names import DEFENCES
from simdnn.networks.device import device_of

DENOISER = "resupnet.safetensors"

WEIGHTS = {"resupnet": DENOISER}
"""Defences with weights, and the files of these."""


def defended(name: str, network: nn.Module, *, seed: int, weights: Path) -> nn.Module:
    """Put a defence before a network.

    Parameters
    ----------
    name : one of :data:`simdnn.evaluation.names.DEFENCES`
    network : images (N, 3, H, W) in [0, 1] to logits
    seed : seed of the defence's random numbers
    weights : folder with the weights of defences that have some

    Raises
    ------
    InputError
        If there is no such defence.
    WeightsError
        If its weights are missing or do not fit.
    """
    if name == "bart":
        return BaRT(network, seed)
    if name == "resupnet":
        return ResUpNet(network, load_denoiser(weights / DENOISER)).to(device_of(network))
    raise InputError(f"expected a defence among {', '.join(DEFENCES)}; got {name!r}")


def hash_defences(names: Iterable[str], weights: Path) -> dict[str, str]:
    """Return the SHA-256, 16 hexadecimal digits, of the weights of each defence named that has some.

    Parameters
    ----------
    names : of defences, and of anything else, which is passed over
    weights : as for :func:`defended`; a file that is not there has an empty text
    """
    hashes = {}
    for name in sorted(WEIGHTS.keys() & set(names)):
        hashes[name] = ""
        path = weights / WEIGHTS[name]
        if path.is_file():
            with path.open("rb") as file:
                hashes[name] = file_digest(file, "sha256").hexdigest()[:16]
    return hashes
