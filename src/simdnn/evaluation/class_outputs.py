"""Keep of a network only the outputs for a dataset's classes, as a network of these classes has them."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from safetensors.torch import save

from simdnn.atomic import write_whole
from simdnn.errors import InputError
from simdnn.networks.loading import last_layer, network_names, torchvision_network


def class_outputs(backbone: str, weights: Path, outputs: Sequence[int], folder: Path) -> Path:
    """Return weights whose outputs are the classes', in their order.

    A network with as many outputs as classes is taken to have them in this order, unless ``outputs`` orders them.

    Parameters
    ----------
    backbone : a classification network of torchvision
    weights : file of its weights
    outputs : its output for each class
    folder : where weights with fewer outputs are written

    Raises
    ------
    InputError
        If torchvision has no such network, or this one has fewer outputs than these.
    WeightsError
        If the weights cannot be read, or do not fit.
    """
    if backbone not in network_names():
        raise InputError(f"expected a network of torchvision to keep some of its outputs, got {backbone!r}")
    network = torchvision_network(backbone, weights)
    state, head = network.state_dict(), last_layer(network)
    n = len(state[f"{head}.weight"])
    if n == len(outputs) and (n <= max(outputs) or list(outputs) == list(range(n))):
        return weights
    if n <= max(outputs):
        raise InputError(f"expected at least {max(outputs) + 1} outputs in {weights}, got {n}")
    for name in (f"{head}.weight", f"{head}.bias"):
        state[name] = state[name][list(outputs)]
    content = save({name: tensor.contiguous() for name, tensor in state.items()})
    folder.mkdir(parents=True, exist_ok=True)
    cut = folder / f"{backbone}-{sha256(content).hexdigest()[:16]}.safetensors"
    if not cut.exists():
        write_whole(cut, content)
    return cut
