"""``simdnn export``: write a guard into one ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simdnn.cli.options import GuardFile, Trust, Weights, check_output, load_guard
from simdnn.cli.text import echo, shown


def export(
    guard: GuardFile,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The ONNX file to write, such as guard.onnx.")
    ],
    weights: Weights = None,
    trust: Trust = None,
) -> None:
    """Write a guard with its networks into one ONNX file, for `simdnn check` without PyTorch."""
    check_output(output, "the exported guard")
    loaded = load_guard(guard, weights, trust, "cpu")
    loaded.extractor  # noqa: B018  # what is wrong with a network is said before what is missing to export it
    from simdnn.onnx.export import export_onnx

    export_onnx(loaded, output)
    size = output.stat().st_size / 1e6
    echo(shown(f"{output}: {size:.1f} MB; judge images by it: simdnn check {output} ..."))
