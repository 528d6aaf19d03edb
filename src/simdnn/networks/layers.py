"""Collect the outputs of layers during a forward pass, one feature vector per image.

Feature maps (N, C, H, W) are averaged over space, token sequences (N, T, C) over the tokens, and vectors (N, d) are
kept as they are. Maps (N, A, A, B) with B different from A are taken as (N, H, W, C), as in Swin. If a layer runs
several times in a pass, its last output counts. The hooks hold no state, so that passes may be nested and may run in
several threads at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

from torch import Tensor, nn

from simdnn.errors import InputError
from simdnn.networks.loading import close_names, last_layer
from simdnn.networks.spec import PENULTIMATE

_features: ContextVar[dict[str, Tensor] | None] = ContextVar("_features", default=None)


def watch(network: nn.Module, layers: Iterable[str]) -> None:
    """Put hooks on layers, named by module or as `PENULTIMATE`, so that `watching` collects their features.

    Raises
    ------
    InputError
        If the network has no such layer.
    """
    modules = {name: module for name, module in network.named_modules() if name}
    for layer in layers:
        if layer == PENULTIMATE:
            network.get_submodule(last_layer(network)).register_forward_pre_hook(_keep_input)
        elif layer in modules:
            modules[layer].register_forward_hook(partial(_keep_output, layer))
        else:
            raise InputError(
                f"expected the name of a layer of this {type(network).__name__}, got {layer!r}; close names: "
                f"{close_names(layer, list(modules))} (or {PENULTIMATE!r})"
            )


@contextmanager
def watching() -> Iterator[dict[str, Tensor]]:
    """Collect {layer: features (N, d)} of the forward pass that runs in this block, in this thread."""
    features: dict[str, Tensor] = {}
    token = _features.set(features)
    try:
        yield features
    finally:
        _features.reset(token)


def _keep_output(layer: str, *called: object) -> None:  # module, inputs, output
    _keep(layer, called[-1])


def _keep_input(*called: Any) -> None:  # module, inputs
    _keep(PENULTIMATE, next(iter(called[1]), None))


def _keep(layer: str, value: object) -> None:
    """Collect a layer's features, if the pass runs in a block of `watching`."""
    features = _features.get()
    if features is not None:
        features[layer] = _as_rows(layer, value)


def _as_rows(layer: str, value: object) -> Tensor:
    """Average (N, ...) to (N, d) before the next layer can overwrite the tensor in place."""
    if isinstance(value, Tensor):
        match value.shape:
            case (_, _):
                return value.clone()
            case (_, _, _):
                return value.mean(dim=1)
            case (_, first, height, width):
                return value.mean(dim=(1, 2) if first == height != width else (2, 3))
    got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
    raise InputError(
        f"expected layer {layer!r} to give (N, d), (N, tokens, d) or (N, channels, height, width), got {got}; "
        "name another layer"
    )
