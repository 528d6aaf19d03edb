"""``simdnn export``: write a guard into one ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simdnn.cli.libraries import lab_libraries
from simdnn.cli.options import GuardFile, Trust, Weights, check_output, load_guard
from simdnn.cli.progress import progress_bar
from simdnn.cli.text import echo, print_table, shown

if TYPE_CHECKING:
    from simdnn.evaluation.int8 import Int8Loss


def export(
    guard: GuardFile,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The ONNX file to write, such as guard.onnx.")
    ],
    int8: Annotated[
        Path | None,
        typer.Option(
            metavar="PHOTOS",
            help="Quantise the networks to 8 bits by these clean images, a folder or a CSV file with the column path, "
            "best ones that neither network nor guard has learned: they also set the threshold anew, and measure what "
            "is lost. Needs 'simdnn[lab]' as well.",
        ),
    ] = None,
    weights: Weights = None,
    trust: Trust = None,
) -> None:
    """Write a guard with its networks into one ONNX file, for `simdnn check` without PyTorch."""
    check_output(output, "the exported guard")
    loaded = load_guard(guard, weights, trust, "cpu")
    loaded.extractor  # noqa: B018  # what is wrong with a network is said before what is missing to export it
    if int8 is None:
        from simdnn.onnx.export import export_onnx

        export_onnx(loaded, output)
    else:
        with lab_libraries():
            from simdnn.evaluation.int8 import export_int8
        with progress_bar("quantising and measuring") as progress:
            loss = export_int8(loaded, int8, output, progress=progress)
        _print(loss)
    size = output.stat().st_size / 1e6
    echo(shown(f"{output}: {size:.1f} MB; judge images by it: simdnn check {output} ..."))


def _print(loss: Int8Loss) -> None:
    """Print what the guard was before and is after, by the images that were held out."""
    from rich.table import Table

    table = Table("", "float32", "int8", box=None, pad_edge=False)
    both = (loss.before, loss.after)
    table.add_row("clean images flagged", *(one.flagged.per_cent() for one in both))
    table.add_row(
        "attacked images flagged",
        *("unknown" if one.detected is None else one.detected.per_cent() for one in both),
    )
    table.add_row("AUROC", *("" if one.auroc is None else one.auroc.decimal() for one in both))
    table.add_row("threshold", *(f"{one.threshold:.4g}" for one in both))
    print_table(table)
    echo("in brackets: 95 % intervals")
    echo(
        f"{loss.ranges} images gave the ranges of activations, {loss.calibrated} calibrated both thresholds, "
        f"{loss.clean} clean ones were held out"
    )
    echo(
        f"attacked: those {loss.attacked} of them that the float32 network classifies otherwise after FGSM, eps "
        f"{loss.eps:.3g}"
    )
    echo(f"int8 and float32 networks classify {loss.agreement.per_cent()} of the clean images alike")
    promise = loss.after.promise
    echo(
        "int8: the published rule promises no false-alarm rate"
        if promise is None
        else f"int8: {promise.sentence}"
    )
