"""``simdnn import-auxiliary``: make an auxiliary network of another project's checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from simdnn.cli.options import AsJson, Device, Mean, NetworkSize, Std, check_output, three_numbers
from simdnn.cli.progress import progress_bar
from simdnn.cli.text import echo, shown


def import_auxiliary(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="A checkpoint of MadryLab's robustness or of Cohen's smoothing, or a torchvision network's state dict."
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write the auxiliary network.")],
    backbone: Annotated[
        str, typer.Option(help="Its architecture: a torchvision classification network.")
    ] = "resnet18",
    sigma: Annotated[
        float,
        typer.Option(
            help="Standard deviation of the noise that it was trained under, for pixels in [0, 1]; 0 for none."
        ),
    ] = 0.0,
    size: Annotated[
        int | None,
        typer.Option(help="Side of the images that it takes.", show_default="its architecture's usual one"),
    ] = None,
    network_size: NetworkSize = None,
    mean: Mean = None,
    std: Std = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            help="Clean images of your classes, a folder or a CSV file: where the outputs are others, a last layer "
            "is learned from them."
        ),
    ] = None,
    trust_pickle: Annotated[
        bool,
        typer.Option("--trust-pickle", help="Let code in the checkpoint run; only if you trust its makers."),
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 0,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Make an auxiliary network of a checkpoint that others trained."""
    check_output(output, "the auxiliary network")
    from simdnn.training.imported import Source
    from simdnn.training.imported import import_auxiliary as make

    source = Source(
        checkpoint,
        backbone,
        sigma,
        side=size,
        network_side=network_size,
        mean=three_numbers(mean, "--mean"),
        std=three_numbers(std, "--std"),
        trust_pickle=trust_pickle,
    )
    with progress_bar("decoding") as decoding:
        found = make(source, output, classes, device=device, seed=seed, decoding=decoding)
    if as_json:
        accuracy = None if found.accuracy is None else found.accuracy._asdict()
        echo(json.dumps(found._asdict() | {"accuracy": accuracy, "output": str(output)}))
        return
    for line in found.unreadable:
        echo(shown(f"skipped, not readable: {line}"), err=True)
    if found.accuracy is not None:
        how = (
            "its own outputs kept"
            if found.own_outputs
            else f"a last layer learned from {found.learned} images"
        )
        value, low, high = found.accuracy
        echo(
            f"{how}; the majority vote is right on {value:.1%} ({low:.1%} to {high:.1%}) of {found.held_out} images "
            "held out"
        )
    echo(shown(f"wrote {output}"))
