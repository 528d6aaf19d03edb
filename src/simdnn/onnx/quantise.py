"""Networks in an exported graph with 8-bit weights and activations, by ONNX Runtime's quantisation after training."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from simdnn.errors import InputError
from simdnn.networks.voter import Pixels

OUTPUTS = ("features", "logits")
"""What the quantised part of the graph leads to: views run through the same nodes, and the decision stays as it is."""


def quantised(model: bytes, images: Iterable[tuple[Pixels, ...]]) -> bytes:
    """Quantise the networks of an exported guard, statically: the ranges of activations come from clean images.

    Weights are rounded to signed 8-bit numbers, for each output channel on its own, and activations to unsigned ones,
    between the smallest and the largest value that they take on the images and their views.

    Parameters
    ----------
    model : serialised graph, see :func:`simdnn.onnx.export.graph_of`
    images : clean images, each as pixels (3, H, W) in [0, 1] for every network

    Returns
    -------
    bytes
        The graph with the same inputs and outputs.

    Raises
    ------
    InputError
        If the libraries for it are missing, or a network cannot be quantised.
    """
    try:
        from onnxruntime import quantization

        import onnx
    except ModuleNotFoundError as error:
        raise InputError(f"int8 needs {error.name}; pip install 'simdnn[export]'") from error
    graph = onnx.load_from_string(model)
    names = [given.name for given in graph.graph.input]
    feeds = ({name: own[None] for name, own in zip(names, pixels, strict=True)} for pixels in images)

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, Pixels] | None:
            return next(feeds, None)

    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "quantised.onnx"
        try:
            quantization.quantize_static(
                graph,
                path,
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                nodes_to_quantize=_leading_to(graph.graph, OUTPUTS),
            )
        except Exception as error:  # its exceptions share no base class
            text = " ".join(str(error).split())[:200]
            raise InputError(f"expected a network that ONNX Runtime can quantise, got {text}") from error
        return path.read_bytes()


def _leading_to(graph: Any, outputs: Iterable[str]) -> list[str]:
    """Name the nodes that some of a graph's outputs are computed by."""
    made_by = {output: node for node in graph.node for output in node.output}
    wanted, found = [*outputs], dict[str, None]()
    while wanted:
        node = made_by.get(wanted.pop())
        if node is not None and node.name not in found:
            found[node.name] = None
            wanted += node.input
    return list(found)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantiser's notes, which are about its own insides, from the user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
