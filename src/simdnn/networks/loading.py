"""Load classification networks: torchvision's by name, and users' own by import path."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from simdnn.errors import InputError, WeightsError
from simdnn.images.preprocess import Preprocess
from simdnn.networks.weights import as_state_dict, fit_weights, named_as, read_weights
from simdnn.networks.zoo import models

OWN_PREPROCESS = Preprocess(size=(224, 224), resize=None)
"""Default preprocessing of users' own networks."""

# These two have auxiliary classifiers, used in training only. With its weights, torchvision also converts their input
# from ImageNet's mean and standard deviation to 0.5 and 0.5; here images are normalised with 0.5 and 0.5 directly.
_AUXILIARY = {"inception_v3": ("AuxLogits.",), "googlenet": ("aux1.", "aux2.")}

_RANDOM = {
    Tensor.normal_,
    Tensor.uniform_,
    *(getattr(nn.init, name) for name in dir(nn.init) if name[0] != "_" == name[-1]),
}


def network_names() -> list[str]:
    """List torchvision's classification networks, in alphabetical order."""
    return list(models.list_models(module=models))


def is_import_path(name: str) -> bool:
    """Return whether ``name`` is of the form ``"package.module:factory"``, not a torchvision network."""
    return ":" in name


def torchvision_network(name: str, weights: Path | None) -> nn.Module:
    """Build a torchvision network with weights, on the CPU.

    Parameters
    ----------
    name
        One of `network_names`.
    weights
        A file for `read_weights`, with any number of classes. None: torchvision's weights, fetched at first use and
        cached by torchvision; ``IMAGENET1K_V1`` where they exist, which most papers use.

    Raises
    ------
    InputError
        If torchvision has no such network.
    WeightsError
        If the weights cannot be fetched or read, or do not fit.
    """
    origin = f"torchvision's weights for {name}" if weights is None else str(weights)
    dropped = _AUXILIARY.get(name, ())
    state = named_as(
        _build(name).state_dict(), _fetch(name) if weights is None else read_weights(weights), origin
    )
    state = {key: tensor for key, tensor in state.items() if not key.startswith(dropped)}
    head = state.get(f"{last_layer(_build(name))}.weight")
    network = _build(name, **({} if head is None else {"num_classes": len(head)}))
    fit_weights(network, state, origin)
    return network.to(memory_format=torch.channels_last)  # 1.2 to 1.5 times as fast on a CPU


def imported_network(path: str, weights: Path | None) -> nn.Module:
    """Call the factory that ``"package.module:factory"`` names, and load ``weights`` into its network.

    The module is searched on Python's path, and then in the current folder.

    Raises
    ------
    InputError
        If there is no such module or factory, or it does not return a network.
    WeightsError
        If the weights cannot be read or do not fit.
    """
    module, _, factory = path.partition(":")
    try:
        with _current_folder():
            network: object = getattr(importlib.import_module(module), factory)()
    except Exception as error:  # the user's own code runs here
        raise InputError(
            f"expected {path!r} to name a function without arguments that returns a network, got "
            f"{type(error).__name__}: {error}; check the name, and that the module lies in the current "
            "folder or is installed"
        ) from error
    if not isinstance(network, nn.Module):
        raise InputError(f"expected a torch.nn.Module from {path!r}, got {type(network).__name__}")
    if weights is not None:
        fit_weights(network, read_weights(weights), str(weights))
    return network


@contextmanager
def _current_folder() -> Iterator[None]:
    """Search modules in the current folder as well; last, so that it cannot shadow installed modules."""
    before = list(sys.path)
    sys.path.append(os.getcwd())
    try:
        yield
    finally:
        sys.path[:] = before


def default_preprocess(name: str) -> Preprocess:
    """Return the preprocessing of torchvision's weights; for a user's own network, `OWN_PREPROCESS`."""
    if is_import_path(name):
        return OWN_PREPROCESS
    preset = _default_weights(name).transforms()
    half = (0.5, 0.5, 0.5)
    (size,), (resize,) = preset.crop_size, preset.resize_size
    return Preprocess(
        size=(size, size),
        resize=resize,
        mean=half if name in _AUXILIARY else tuple(preset.mean),
        std=half if name in _AUXILIARY else tuple(preset.std),
        interpolation=preset.interpolation.value,
    )


def imagenet_categories(name: str) -> tuple[str, ...]:
    """Return the names of the 1000 classes of torchvision's weights, in the order of the outputs."""
    return tuple(_default_weights(name).meta["categories"])


def last_layer(network: nn.Module) -> str:
    """Return the name of the last linear layer; without one, as in SqueezeNet, of the last convolution.

    Raises
    ------
    InputError
        If the network has neither.
    """
    for kind in (nn.Linear, nn.Conv2d):
        names: list[str] = [name for name, module in network.named_modules() if isinstance(module, kind)]
        if names:
            return names[-1]
    raise InputError(
        "expected a network with a linear or convolutional layer, got none; name layers yourself"
    )


def close_names(wanted: str, names: list[str]) -> str:
    """List up to five of ``names`` that are similar to ``wanted``, for the text of an error."""
    close = difflib.get_close_matches(wanted, names, n=5, cutoff=0.5) or names[:5]
    return ", ".join(close)


def _default_weights(name: str) -> Any:
    names = network_names()
    if name not in names:
        raise InputError(
            f"expected the name of a torchvision classification network or 'package.module:factory', got {name!r}; "
            f"close names: {close_names(name, names)} (simdnn.networks.loading.network_names() lists all)"
        )
    choices = models.get_model_weights(name)
    return choices.__members__.get("IMAGENET1K_V1", choices.DEFAULT)


def _fetch(name: str) -> dict[str, Tensor]:
    weights = _default_weights(name)
    try:
        state = weights.get_state_dict(progress=sys.stderr.isatty(), check_hash=True, map_location="cpu")
    except Exception as error:  # no network, no disk, a wrong hash, a broken file left behind
        raise WeightsError(
            f"expected to fetch the weights of {name} from {weights.url}, got {type(error).__name__}: {error}; "
            "fetch them elsewhere and give the file as weights (.pth or .safetensors)"
        ) from error
    return as_state_dict(state, weights.url)


class _Unset(TorchFunctionMode):
    """Leaves parameters as they are where they would be set at random: on the meta device that imports the compiler."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        given = kwargs or {}
        return given.get("tensor", *args[:1]) if func in _RANDOM else func(*args, **given)


def _build(name: str, **options: int) -> nn.Module:
    """Build a network without weights; on the meta device where possible, which needs no memory or random numbers."""
    if name in _AUXILIARY:
        options |= {"aux_logits": False, "init_weights": False}
    try:
        with torch.device("meta"), _Unset():
            network: nn.Module = models.get_model(name, weights=None, **options)
    except NotImplementedError:  # RegNet computes its widths with tensors
        network = models.get_model(name, weights=None, **options)
    return network
