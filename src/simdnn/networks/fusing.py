"""Fuse batch norms into the convolutions before them: the same function, in less time."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection, Iterator
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_TOLERANCE = 1e-4  # relative to the largest logit; rounding gives about 1e-6


def fused_norms(network: nn.Module, size: tuple[int, int], keep: Collection[str] = ()) -> nn.Module:
    """Return a network with each batch norm fused into the convolution whose output it alone takes.

    In evaluation mode a batch norm scales and shifts channels, which weights and bias of the convolution can do as
    well; ``nn.Identity`` takes its place, so that all layers keep their names. A network that cannot be copied or
    traced, such as one that branches on its input, or that answers otherwise when it is fused, is returned as it is.

    Parameters
    ----------
    network
        In evaluation mode; left as it is. The result shares its other tensors.
    size
        Height and width of its input, in pixels.
    keep
        Names of layers whose outputs somebody looks at; a convolution among them is not fused.
    """
    try:
        pairs = [pair for pair in _pairs(_sharing_copy(network)) if pair[0] not in keep]
        if not pairs:
            return network
        fused = _sharing_copy(network)
        for convolution, norm in pairs:
            both: Any = [copy.deepcopy(fused.get_submodule(name)).double() for name in (convolution, norm)]
            fused.set_submodule(convolution, fuse_conv_bn_eval(*both).float())  # rounded once
            fused.set_submodule(norm, nn.Identity())
        image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected, got = network(image), fused(image)
        alike = torch.allclose(got, expected, rtol=0, atol=_TOLERANCE * float(expected.abs().max()))
    except Exception:  # the user's own code runs here, on stand-ins for tensors, too
        return network
    return fused if alike else network


def _sharing_copy(network: nn.Module) -> nn.Module:
    """Copy all but the tensors: tracing may leave its stand-ins in attributes."""
    tensors: list[Tensor] = [*network.parameters(), *network.buffers()]
    return copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})


def _pairs(network: nn.Module) -> Iterator[tuple[str, str]]:
    """Name convolutions, with the batch norm that alone takes their output, where each runs once in a pass."""
    nodes = _OwnThread().trace(network).nodes
    calls = Counter(node.target for node in nodes if node.op == "call_module")
    modules = dict(network.named_modules())
    for node in nodes:
        before = node.args[0] if node.args else None
        if (
            node.op == "call_module"
            and isinstance(before, fx.Node)
            and before.op == "call_module"
            and _is(modules[str(node.target)], nn.BatchNorm2d)
            and _is(modules[str(before.target)], nn.Conv2d)
            and len(before.users) == calls[before.target] == calls[node.target] == 1
        ):
            yield str(before.target), str(node.target)


class _OwnThread(fx.Tracer):
    """Traces what its own thread runs: PyTorch's tracer hooks into all modules, those of other threads, too."""

    def __init__(self) -> None:
        super().__init__()
        self.thread = get_ident()

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """Run a module of another thread as it is."""
        if get_ident() != self.thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Give another thread the attribute as it is."""
        if get_ident() != self.thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)


def _is(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Return whether a module is of exactly this kind, with nothing hooked to it."""
    return type(module) is kind and not (module._forward_hooks or module._forward_pre_hooks)
