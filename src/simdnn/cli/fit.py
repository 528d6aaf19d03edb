"""``simdnn fit``: learn from clean images."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from simdnn.cli.options import DEFAULT_BACKBONE, Device, Mean, Size, Std, three_numbers
from simdnn.cli.progress import progress_bar
from simdnn.cli.text import shown
from simdnn.errors import InputError


def fit(
    data: Annotated[
        Path, typer.Argument(help="Folder with one subfolder of images per class, or a CSV file: path,label.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write the guard.")],
    backbone: Annotated[
        list[str] | None,
        typer.Option(
            help="Network: a torchvision name, or package.module:factory. Several give their features together; "
            "the first is the protected classifier.",
            show_default="vgg16, as in the paper",
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="Its weights, .safetensors or .pth; once per network.", show_default="torchvision's own"
        ),
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            help="Its layers, separated by commas; once per network.", show_default="what its last layer sees"
        ),
    ] = None,
    mean: Mean = None,
    std: Std = None,
    size: Size = None,
    second_opinion: Annotated[
        Path | None,
        typer.Option(
            help="An auxiliary network, of train-auxiliary or import-auxiliary, that must agree under noise."
        ),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Noisy draws of each image for the second opinion.",
            show_default="8, 32 or 128, by --level",
        ),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(
            help="profile, which also compares each image with views of it; similarity, in one pass; published; with a "
            "second opinion profile+opinion, or second-opinion alone.",
            show_default="profile, or profile+opinion",
        ),
    ] = None,
    level: Annotated[
        str,
        typer.Option(
            help="Views that the profile compares with: light (1), standard (2) or full (4); and draws of the second "
            "opinion."
        ),
    ] = "standard",
    alpha: Annotated[float, typer.Option(help="False-alarm rate to promise on clean images.")] = 0.05,
    calibration: Annotated[
        float, typer.Option(help="Share of the images held out of learning to calibrate the threshold.")
    ] = 0.2,
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 0,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Learn each class in random order.")] = False,
    max_unreadable: Annotated[
        float, typer.Option(help="Share of files that may be unreadable before fitting stops.")
    ] = 0.05,
    batch_size: Annotated[int, typer.Option(help="Images that go through the network together.")] = 32,
    workers: Annotated[
        int | None, typer.Option(help="Threads that read images.", show_default="one per core")
    ] = None,
    device: Device = None,
    cache: Annotated[
        Path | None, typer.Option(help="File that keeps features.", show_default="in the user's cache folder")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep no features on disk.")] = False,
) -> None:
    """Learn what clean images look like to a network, in one pass, and write a guard."""
    from simdnn.guard.guard import Guard
    from simdnn.networks.auxiliary import read_auxiliary
    from simdnn.networks.backbone import load_backbone
    from simdnn.networks.cache import FeatureCache, default_cache
    from simdnn.networks.extractor import Extractor

    if not output.absolute().parent.is_dir():
        raise InputError(f"there is no folder {output.absolute().parent} to write {output.name} into")
    if output.is_dir():
        raise InputError(f"expected a file to write the guard to, got the folder {output}; add a name")
    names = backbone or [DEFAULT_BACKBONE]
    backbones = [
        load_backbone(
            name,
            _of(weights, i, names, "--weights"),
            tuple((_of(layers, i, names, "--layers") or "").split(",")) if layers else (),
            mean=three_numbers(mean, "--mean"),
            std=three_numbers(std, "--std"),
            size=size,
        )
        for i, name in enumerate(names)
    ]
    if second_opinion is None and draws is not None:
        raise InputError("--draws needs --second-opinion, the network that they belong to")
    auxiliary = None if second_opinion is None else read_auxiliary(second_opinion)
    with (
        nullcontext() if no_cache else FeatureCache(cache or default_cache()) as kept,
        progress_bar("learning") as progress,
    ):
        extractor = Extractor(
            backbones, batch_size=batch_size, workers=workers, device=device, cache=kept, auxiliary=auxiliary
        )
        guard = Guard.fit(
            data,
            extractor,
            rule=rule,
            level=level,
            alpha=alpha,
            calibration=calibration,
            seed=seed,
            draws=draws,
            shuffle=shuffle,
            max_unreadable=max_unreadable,
            progress=progress,
        )
    guard.save(output)

    learned = guard.training
    typer.echo(
        f"learned {len(guard.model.prototypes)} prototypes of {len(guard.classes)} classes from "
        f"{learned.learned} images; {learned.calibrated} more calibrate the threshold"
    )
    if learned.known:
        typer.echo(f"{learned.known} images that the auxiliary network learned were kept out of calibration")
    for path in learned.unreadable:
        typer.echo(shown(f"skipped, not readable: {path}"), err=True)
    typer.echo(shown(f"wrote {output}"))


def _of(values: list[str] | None, i: int, names: list[str], option: str) -> str | None:
    """Take the value for the i-th network; one for each, or none at all."""
    if not values:
        return None
    if len(values) != len(names):
        raise InputError(
            f"expected {option} once for each of the {len(names)} networks; got it {len(values)} times"
        )
    return values[i]
