"""Write a guard with its networks into one ONNX file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim

from simdnn.errors import InputError
from simdnn.guard.guard import Guard
from simdnn.onnx import file
from simdnn.onnx.modules import OFFSET, GuardGraph, VoterGraph

OPSET = 18
"""Version of the operators, which ONNX Runtime and other runtimes have had for years."""

_EXAMPLES = 2  # with one image the exporter would take the batch for a constant


def export_onnx(guard: Guard, path: Path | str) -> None:
    """Write a guard with its networks into one ONNX file.

    The graph holds the networks, the shifts, the features and, where the guard's rule looks at no noise and has a fixed
    threshold, score and decision. Everything else that `simdnn check` needs stands in the metadata. The file lists the
    guard's secrets, as the guard file does.

    Parameters
    ----------
    guard : with its networks
    path : the file; it is replaced if it exists

    Raises
    ------
    InputError
        If the libraries for it are missing, or a network cannot be exported.
    OutputError
        If the file cannot be written.
    """
    file.write(Path(path), graph_of(guard), contents_of(guard))


def graph_of(guard: Guard) -> bytes:
    """Return networks, score and decision as a serialised ONNX model; errors as of :func:`export_onnx`."""
    graph = GuardGraph(guard)
    sizes = [record.spec.preprocess.size for record in guard.networks]
    names = ["images", *(f"images_{i}" for i in range(2, len(sizes) + 1))]
    examples = [torch.rand(_EXAMPLES, 3, *size, generator=torch.Generator().manual_seed(0)) for size in sizes]
    batch = Dim("batch")
    shapes = {"images": tuple({0: batch} for _ in sizes)}  # one entry for all of *images
    return _exported(graph, examples, shapes, names, graph.outputs)


def with_threshold(model: bytes, threshold: float) -> bytes:
    """Return a serialised graph that decides by another threshold; the same where the graph does not decide."""
    import onnx

    changed = onnx.load_from_string(model)
    for constant in changed.graph.initializer:
        if constant.name == OFFSET:
            constant.CopyFrom(onnx.numpy_helper.from_array(np.array(threshold, np.float64), OFFSET))
    raw: bytes = changed.SerializeToString()
    return raw


def contents_of(guard: Guard) -> file.Contents:
    """Return what a guard's ONNX file holds besides its graph; errors as of :func:`export_onnx`."""
    auxiliary, voter = _auxiliary(guard)
    return file.Contents(
        guard.encode(),
        auxiliary,
        voter,
        guard.extractor.n_features,
        guard.extractor.n_classes,
        readable(guard),
    )


def readable(guard: Guard) -> dict[str, Any]:
    """Return what other programs may want to know of a guard."""
    return {
        "model_id": guard.model_id,
        "classes": list(guard.networks[0].categories or guard.classes),
        "rule": guard.settings.rule,
        "alpha": guard.settings.alpha,
        "threshold": guard.threshold(),
        "calibration_scores": guard.rule.calibration_scores().tolist(),
        "preprocess": [record.spec.preprocess.as_dict() for record in guard.networks],
    }


def _auxiliary(guard: Guard) -> tuple[bytes, dict[str, Any]]:
    """Return the auxiliary network as a serialised model, and what is known of it; nothing without one."""
    network, voter = guard.extractor.auxiliary, guard.extractor.voter
    if network is None or voter is None:
        return b"", {}
    size = guard.networks[0].spec.preprocess.size
    draw = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, *size, generator=draw)
    noise = torch.randn(_EXAMPLES, 3, voter.side, voter.side, generator=draw)
    shapes = {"image": None, "noise": {0: Dim("draws")}}
    model = _exported(VoterGraph(network, size), [image, noise], shapes, list(shapes), ["logits"])
    facts = {"side": voter.side, "sigma": voter.sigma, "classes": list(voter.classes), "norm": voter.norm}
    return model, facts


def _exported(
    module: nn.Module,
    examples: Sequence[Tensor],
    shapes: dict[str, Any],
    inputs: list[str],
    outputs: list[str],
) -> bytes:
    """Return a module as a serialised ONNX model."""
    devices = [(part, part.device) for part in (*module.parameters(), *module.buffers())]
    home = devices[0][1] if devices else torch.device("cpu")
    try:
        module.eval().cpu()
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                module,
                tuple(examples),
                input_names=inputs,
                output_names=outputs,
                dynamic_shapes=shapes,
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except ModuleNotFoundError as error:
        raise InputError(f"exporting needs {error.name}; pip install 'simdnn[export]'") from error
    except torch.onnx.OnnxExporterError as error:
        text = " ".join(str(error).split())[:300]
        raise InputError(f"expected a network that PyTorch can export to ONNX, got {text}") from error
    finally:
        module.to(home)
    assert program is not None
    model = program.model_proto
    fixed = next((given.name for given in model.graph.input if _is_fixed(given.name, given, shapes)), None)
    if fixed is not None:
        raise InputError(
            f"expected a network that takes batches of any size, got one that takes {_EXAMPLES} {fixed} alone"
        )
    raw: bytes = model.SerializeToString()
    return raw


def _is_fixed(name: str, given: Any, shapes: dict[str, Any]) -> bool:
    """Tell whether an input's number of rows was to be free, and is a constant in the graph."""
    free = shapes.get(name, True) is not None
    return free and given.type.tensor_type.shape.dim[0].HasField("dim_value")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes, which are about its own insides, from the user."""
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)
