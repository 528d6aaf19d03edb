"""``simdnn calibrate``: another threshold, from other clean images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simdnn.cli.options import (
    BatchSize,
    Device,
    GuardFile,
    MaxPixels,
    Trust,
    Weights,
    Workers,
    check_output,
    load_guard,
    set_speed,
)
from simdnn.cli.progress import progress_bar
from simdnn.cli.text import echo, shown


def calibrate(
    guard: GuardFile,
    images: Annotated[
        Path,
        typer.Argument(help="Folder of clean images, or a CSV file with the column path; no labels needed."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write the new guard.")],
    alpha: Annotated[
        float | None, typer.Option(help="False-alarm rate to promise.", show_default="the guard's own")
    ] = None,
    add: Annotated[
        bool, typer.Option("--add", help="Keep the images that calibrate the guard so far, too.")
    ] = False,
    max_unreadable: Annotated[
        float, typer.Option(help="Share of files that may be unreadable before calibrating stops.")
    ] = 0.05,
    weights: Weights = None,
    trust: Trust = None,
    device: Device = None,
    batch_size: BatchSize = 32,
    workers: Workers = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Set the threshold by other clean images, of a new camera for instance, in one pass and without fitting again."""
    check_output(output, "the guard")
    before = load_guard(guard, weights, trust, device)
    set_speed(before, batch_size, workers, max_pixels)
    with progress_bar("calibrating") as progress:
        after = before.recalibrate(
            images, alpha=alpha, add=add, max_unreadable=max_unreadable, progress=progress
        )
    after.save(output)

    for name, one in (("before", before), ("now", after)):
        echo(
            f"{name + ':':<7} threshold {one.threshold():.4g} by {one.training.calibrated} clean images, "
            f"alpha {one.settings.alpha:g}"
        )
    echo(shown(f"calibrated on {after.training.calibrated_on}"))
    if after.training.left_out:
        echo(f"{after.training.left_out} were left out: they calibrate already")
    if after.training.known:
        echo(f"{after.training.known} images that the auxiliary network learned were kept out of calibration")
    for path in after.training.unreadable[len(before.training.unreadable) :]:
        echo(shown(f"skipped, not readable: {path}"), err=True)
    echo(shown(f"wrote {output}"))
