"""``simdnn train-auxiliary``: train a second classifier under noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simdnn.cli.options import AsJson, Device, Mean, NetworkSize, Std, check_output, three_numbers
from simdnn.cli.progress import progress_bars
from simdnn.cli.text import echo, shown

if TYPE_CHECKING:
    from simdnn.training.auxiliary import EpochReport


def train_auxiliary(
    data: Annotated[
        Path, typer.Argument(help="Folder with one subfolder of images per class, or a CSV file: path,label.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write the auxiliary network.")],
    backbone: Annotated[
        str, typer.Option(help="Its architecture: a torchvision classification network.")
    ] = "resnet18",
    start_weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights to start from, .safetensors or .pth, for any classes.",
            show_default="torchvision's own",
        ),
    ] = None,
    mean: Mean = None,
    std: Std = None,
    sigma: Annotated[
        float, typer.Option(help="Standard deviation of the noise, for pixels in [0, 1].")
    ] = 0.25,
    size: Annotated[int, typer.Option(help="Side of the images that it takes.")] = 112,
    network_size: NetworkSize = None,
    epochs: Annotated[int, typer.Option(help="Passes over the images.")] = 10,
    loss: Annotated[
        str,
        typer.Option(
            help="noise; distillation, which keeps what the start weights know; consistency, whose two noisy draws "
            "must agree; or smoothadv, which attacks them. They take about 1, 1.3, 2 and 6 times as long."
        ),
    ] = "noise",
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 0.03,
    batch_size: Annotated[int, typer.Option(help="Images in a step.")] = 64,
    held_out: Annotated[
        float, typer.Option(help="Share of each class that is not learned, and measures the accuracy.")
    ] = 0.2,
    seed: Annotated[
        int, typer.Option(help="Seed of every draw: what is held out, the order, the noise.")
    ] = 0,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Train an auxiliary network under Gaussian noise; a second call goes on where a stopped one was."""
    check_output(output, "the auxiliary network")
    from simdnn.training.auxiliary import train_auxiliary as train
    from simdnn.training.loop import Settings
    from simdnn.training.plan import Plan

    plan = Plan(
        Settings(epochs, batch_size, rate, seed=seed),
        backbone=backbone,
        start_weights=start_weights,
        mean=three_numbers(mean, "--mean"),
        std=three_numbers(std, "--std"),
        sigma=sigma,
        side=size,
        network_side=network_size,
        loss=loss,
        held_out=held_out,
    )

    def report(epoch: EpochReport) -> None:
        if as_json:
            echo(json.dumps(epoch._asdict()))
        else:
            echo(
                f"epoch {epoch.epoch} of {epochs}: loss {epoch.loss:.3f}, {epoch.accuracy:.1%} right on one "
                f"noisy draw of the images held out, {epoch.seconds:.0f} s"
            )

    with progress_bars("decoding", "training", "measuring") as (decoding, training, measuring):
        found = train(
            data,
            output,
            plan,
            device=device,
            decoding=decoding,
            training=training,
            measuring=measuring,
            on_epoch=report,
        )
    if as_json:
        facts = found._asdict() | {"accuracy": found.accuracy._asdict(), "output": str(output)}
        echo(json.dumps(facts))
        return
    for line in found.unreadable:
        echo(shown(f"skipped, not readable: {line}"), err=True)
    value, low, high = found.accuracy
    echo(
        f"learned {found.learned} images; the majority vote is right on {value:.1%} ({low:.1%} to {high:.1%}) of "
        f"{found.held_out} images held out"
    )
    echo(shown(f"wrote {output}"))
