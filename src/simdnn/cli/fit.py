"""``simdnn fit``: learn from clean images."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simdnn.cli.options import DEFAULT_BACKBONE, Device, Mean, Size, Std, three_numbers
from simdnn.cli.progress import progress_bar
from simdnn.cli.text import shown
from simdnn.errors import InputError

if TYPE_CHECKING:
    from simdnn.guard.training import Training


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
    auxiliary: Annotated[
        str | None,
        typer.Option(help="An auxiliary network, adversarially trained, that must agree with the first."),
    ] = None,
    auxiliary_weights: Annotated[
        Path | None, typer.Option(help="Its weights, .safetensors or .pth.", show_default="torchvision's own")
    ] = None,
    auxiliary_size: Annotated[
        int | None, typer.Option(help="Side of the images it takes.", show_default="its own")
    ] = None,
    rule: Annotated[
        str,
        typer.Option(
            help="profile, which also compares each image with views of it; similarity, in one pass; or published."
        ),
    ] = "profile",
    level: Annotated[
        str,
        typer.Option(help="Views that the profile compares with: light (1), standard (2) or full (4)."),
    ] = "standard",
    alpha: Annotated[float, typer.Option(help="False-alarm rate to promise on clean images.")] = 0.05,
    calibration: Annotated[
        float, typer.Option(help="Share of the images held out of learning to calibrate the threshold.")
    ] = 0.2,
    calibrate_on: Annotated[
        Path | None,
        typer.Option(
            help="Calibrate on the clean images of this folder or CSV file instead, best on images that the network "
            "was not trained on; then all of DATA is learned.",
            show_default="the share held out",
        ),
    ] = None,
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
    if auxiliary is None and (auxiliary_weights or auxiliary_size):
        raise InputError(
            "--auxiliary-weights and --auxiliary-size need --auxiliary, the network that they belong to"
        )
    second = None if auxiliary is None else load_backbone(auxiliary, auxiliary_weights, size=auxiliary_size)
    with (
        nullcontext() if no_cache else FeatureCache(cache or default_cache()) as kept,
        progress_bar("learning") as progress,
    ):
        extractor = Extractor(
            backbones, batch_size=batch_size, workers=workers, device=device, cache=kept, auxiliary=second
        )
        guard = Guard.fit(
            data,
            extractor,
            rule=rule,
            level=level,
            alpha=alpha,
            calibration=calibration,
            calibrate_on=calibrate_on,
            seed=seed,
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
    typer.echo(shown(_calibrated(learned)))
    for path in learned.unreadable:
        typer.echo(shown(f"skipped, not readable: {path}"), err=True)
    typer.echo(shown(f"wrote {output}"))


def _calibrated(training: Training) -> str:
    """Say which images calibrated the threshold, and what follows for the false alarms."""
    from simdnn.guard.training import HELD_OUT

    if training.calibrated_on == HELD_OUT:
        return (
            "calibrated on images of that folder. If the network was trained on these, unseen images are flagged more "
            "often than promised: 4 to 9 % were measured where 5 % is promised; --calibrate-on takes images that the "
            "network has not seen"
        )
    left_out = f"; {training.left_out} were left out: they are learned" if training.left_out else ""
    return f"calibrated on {training.calibrated_on}{left_out}"


def _of(values: list[str] | None, i: int, names: list[str], option: str) -> str | None:
    """Take the value for the i-th network; one for each, or none at all."""
    if not values:
        return None
    if len(values) != len(names):
        raise InputError(
            f"expected {option} once for each of the {len(names)} networks; got it {len(values)} times"
        )
    return values[i]
