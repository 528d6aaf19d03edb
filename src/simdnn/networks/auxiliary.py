"""An auxiliary network, which is robust to small changes of its input, and its file format.

The file is safetensors: the network's tensors under torchvision's names, and everything else as JSON under one key of
the metadata. Nothing in it is executed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import interpolate

from simdnn.atomic import write_whole
from simdnn.errors import InputError, WeightsError
from simdnn.networks.fusing import fused_norms
from simdnn.networks.loading import network_names
from simdnn.networks.reduction import REDUCTION
from simdnn.networks.weights import fit_weights, hash_weights
from simdnn.networks.zoo import models

KEY = "simdnn_auxiliary"
PROTOCOL = 1
"""Version of the file format; it increases with every change that older versions of this package would misread."""

SMOOTHED, DETERMINISTIC = "smoothed", "deterministic"

_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class AuxiliarySpec:
    """Everything about an auxiliary network except its weights.

    Attributes
    ----------
    architecture
        A classification network of torchvision.
    side
        Height and width of the images that it takes, in pixels.
    sigma
        Standard deviation of the Gaussian noise that it was trained under, for pixels in [0, 1]; 0 for a network
        trained without noise, such as an adversarially trained one.
    classes
        Names of the outputs, in their order.
    mean, std
        Normalisation per channel, applied after the noise.
    reduction
        How larger images are resized: `REDUCTION`, by `reduced`.
    learned
        SHA-256, in hexadecimal, of the image files that it was trained on, sorted. They must not calibrate a threshold.
    training
        Settings and provenance, as plain values for JSON.
    network_side
        Height and width, in pixels, to which the noisy image is enlarged for the network, by bilinear interpolation;
        None to leave it. Networks trained on large images see more in a small one that is enlarged, and the certificate
        stays the same: the enlargement comes after the noise.

    Raises
    ------
    InputError
        If a value is not valid.
    """

    architecture: str
    side: int
    sigma: float
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    reduction: str = REDUCTION
    learned: tuple[str, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    network_side: int | None = None

    def __post_init__(self) -> None:
        wrong = next((name for name, fits in self._checks().items() if not fits), None)
        if wrong is not None:
            raise InputError(f"the auxiliary network's {wrong}; got {getattr(self, wrong.split()[0])!r:.200}")

    @property
    def kind(self) -> str:
        """``"smoothed"`` if it was trained under noise and votes over noisy draws, else ``"deterministic"``."""
        return SMOOTHED if self.sigma > 0 else DETERMINISTIC

    def _checks(self) -> dict[str, bool]:
        texts = isinstance(self.classes, tuple) and all(isinstance(name, str) for name in self.classes)
        return {
            "architecture must be the name of a torchvision classification network": self.architecture
            in network_names(),
            "side must be a whole number of pixels above 0": type(self.side) is int and self.side > 0,
            "sigma must be a number of at least 0": _finite(self.sigma) and self.sigma >= 0,
            "classes must be two or more different names": texts
            and len(set(self.classes)) == len(self.classes) >= 2,
            "mean must be three finite numbers": len(self.mean) == 3 and all(map(_finite, self.mean)),
            "std must be three numbers above 0": len(self.std) == 3
            and all(_finite(value) and value > 0 for value in self.std),
            f"reduction must be {REDUCTION!r}": self.reduction == REDUCTION,
            "learned must be SHA-256 hashes": isinstance(self.learned, tuple)
            and all(isinstance(text, str) and _SHA256.fullmatch(text) for text in self.learned),
            "training must be a mapping": isinstance(self.training, Mapping),
            f"network_side (--network-size) must be a whole number of pixels above the side (--size), {self.side}, or "
            "nothing": self.network_side is None
            or (type(self.network_side) is int and self.network_side > self.side),
        }

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, without those that are None."""
        return {"kind": self.kind} | {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if value is not None
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Make a specification from the result of `as_dict`, before or after JSON; InputError if it is not valid."""
        names = {"kind"} | {each.name for each in fields(cls)}
        if {*plain, "network_side"} != names:
            raise InputError(f"expected the values {sorted(names)}, got {sorted(plain)}")
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in plain.items()}
        del values["kind"]
        spec = cls(**values)
        if plain["kind"] != spec.kind:
            raise InputError(f"expected kind {spec.kind!r} with sigma {spec.sigma}, got {plain['kind']!r}")
        return spec


class AuxiliaryNetwork(nn.Module):
    """A torchvision network on images in [0, 1] of a fixed size; the caller adds the noise.

    Attributes
    ----------
    spec
        Its specification.
    network
        The torchvision network.
    file
        Where it was read from; None for one that was made.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, spec: AuxiliarySpec, file: Path | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.file = file
        self.network = network.to(memory_format=torch.channels_last)
        self._fused: nn.Module | None = None
        self.register_buffer("mean", torch.tensor(spec.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(3, 1, 1), persistent=False)

    @cached_property
    def identity(self) -> str:
        """SHA-256 of all that decides what it gives for an image: weights, noise, sides, classes, normalisation."""
        facts = {
            name: value for name, value in self.spec.as_dict().items() if name not in ("learned", "training")
        }
        facts |= {"weights": hash_weights(self.network)}
        return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, 3, side, side) in [0, 1], with noise or without."""
        normal = (images - self.mean) / self.std
        if self.spec.network_side is not None:
            normal = interpolate(normal, size=(self.spec.network_side,) * 2, mode="bilinear")
        logits: Tensor = (self._fused or self.network)(normal.to(memory_format=torch.channels_last))
        return logits

    def frozen(self) -> Self:
        """Make it ready for use: in evaluation mode, without gradients of the weights, batch norms fused."""
        self.eval().requires_grad_(False)
        side = self.spec.network_side or self.spec.side
        self._fused = fused_norms(self.network, (side, side))
        return self


def untrained(architecture: str, n_classes: int) -> nn.Module:
    """Build a torchvision network with random weights and ``n_classes`` outputs; InputError if there is none such."""
    if architecture not in network_names():
        raise InputError(
            f"expected the name of a torchvision classification network, got {architecture!r}; "
            "simdnn.networks.loading.network_names() lists them"
        )
    # These two have further classifiers, used in training only, and a slow initialisation.
    options = (
        {"aux_logits": False, "init_weights": False} if architecture in ("inception_v3", "googlenet") else {}
    )
    network: nn.Module = models.get_model(architecture, weights=None, num_classes=n_classes, **options)
    return network


def write_auxiliary(path: Path, network: AuxiliaryNetwork) -> None:
    """Write an auxiliary network to a file, completely or not at all.

    Raises
    ------
    WeightsError
        If the file cannot be written.
    """
    text = json.dumps({"protocol": PROTOCOL} | network.spec.as_dict())
    state = {
        name: tensor.detach().cpu().contiguous() for name, tensor in network.network.state_dict().items()
    }
    try:
        write_whole(path, save(state, {KEY: text}))
    except OSError as error:
        raise WeightsError(f"cannot write the auxiliary network {path}: {error.strerror}") from error


def read_auxiliary(path: Path) -> AuxiliaryNetwork:
    """Read an auxiliary network from a file: on the CPU, in evaluation mode and frozen.

    Raises
    ------
    WeightsError
        If the file does not exist, is damaged, holds no auxiliary network, or was written by a newer version, or its
        tensors do not fit its architecture.
    """
    if not path.is_file():
        raise WeightsError(f"expected an auxiliary network, got {path}, which is no file; check the path")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} is damaged, or no safetensors file ({type(error).__name__}); make it again with "
            "`simdnn train-auxiliary` or `simdnn import-auxiliary`"
        ) from error
    if text is None:
        raise WeightsError(
            f"{path} holds weights, but not the classes, noise and size that belong to an auxiliary network; "
            f"import it: simdnn import-auxiliary {path} -o FILE"
        )
    spec = _read_spec(text, path)
    with torch.random.fork_rng(
        devices=[]
    ):  # the random initialisation must not change the caller's generator
        network = untrained(spec.architecture, len(spec.classes))
    fit_weights(network, state, str(path))
    return AuxiliaryNetwork(network, spec, path).frozen()


def _read_spec(text: str, path: Path) -> AuxiliarySpec:
    try:
        plain = dict(json.loads(text))
        protocol = plain.pop("protocol")
        if protocol != PROTOCOL:
            raise WeightsError(
                f"{path} was written with protocol {protocol}, this version reads {PROTOCOL}; update simdnn"
            )
        return AuxiliarySpec.from_dict(plain)
    except (ValueError, TypeError, KeyError) as error:  # InputError is a ValueError
        raise WeightsError(
            f"expected the description of an auxiliary network in {path}, got one that this version cannot read: "
            f"{error}"
        ) from error


def _finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
