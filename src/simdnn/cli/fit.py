"""``simdnn fit``: learn from clean images."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from simdnn.cli.fit_features import fit_features
from simdnn.cli.fit_ray import guard_on_ray
from simdnn.cli.given import given_beside
from simdnn.cli.optional_value import Ray
from simdnn.cli.options import (
    CALIBRATION,
    DATA,
    DEFAULT_BACKBONE,
    NETWORKS,
    RULE,
    SPEED,
    BatchSize,
    Device,
    MaxPixels,
    Workers,
    check_output,
    read_limits,
    three_numbers,
)
from simdnn.cli.progress import progress_bar
from simdnn.cli.text import echo, shown
from simdnn.errors import InputError

if TYPE_CHECKING:
    from simdnn.guard.training import Training
    from simdnn.networks.backbone import Backbone
    from simdnn.networks.cache import FeatureCache

T = TypeVar("T")
OFTEN = "once, or once per network"

FOR_FEATURES = frozenset({"output", "features", "alpha", "calibration", "seed"})
"""Parameters of `fit` that learning from features heeds, besides the rule similarity."""


def fit(
    context: typer.Context,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Where to write the guard.", rich_help_panel=DATA)
    ],
    data: Annotated[
        Path | None,
        typer.Argument(help="Folder with one subfolder of images per class, or a CSV file: path,label."),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            help="Learn from features that you have, instead of images: a folder of .npy or Parquet files.",
            rich_help_panel=DATA,
        ),
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(
            help="CSV file with the columns output,name and perhaps folder: which output of the network, and which "
            "class folder, is which class.",
            show_default="the network's own names, else the folders' in their order",
            rich_help_panel=DATA,
        ),
    ] = None,
    max_unreadable: Annotated[
        float,
        typer.Option(
            help="Share of files that may be unreadable before fitting stops.", rich_help_panel=DATA
        ),
    ] = 0.05,
    max_pixels: MaxPixels = None,
    backbone: Annotated[
        list[str] | None,
        typer.Option(
            help="Network: a torchvision name, or package.module:factory. Several give their features together; "
            "the first is the protected classifier.",
            show_default="vgg16, as in the paper",
            rich_help_panel=NETWORKS,
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="Its weights, .safetensors or .pth; once per network.",
            show_default="torchvision's own",
            rich_help_panel=NETWORKS,
        ),
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            help="Its layers, separated by commas; once per network.",
            show_default="what its last layer sees",
            rich_help_panel=NETWORKS,
        ),
    ] = None,
    mean: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Normalisation, as 0.5,0.5,0.5; {OFTEN}.",
            show_default="what torchvision's weights take",
            rich_help_panel=NETWORKS,
        ),
    ] = None,
    std: Annotated[
        list[str] | None,
        typer.Option(help=f"Normalisation, as 0.5,0.5,0.5; {OFTEN}.", rich_help_panel=NETWORKS),
    ] = None,
    size: Annotated[
        list[int] | None,
        typer.Option(
            help=f"Side of the images it takes; {OFTEN}.", show_default="its own", rich_help_panel=NETWORKS
        ),
    ] = None,
    resize: Annotated[
        list[int] | None,
        typer.Option(
            help=f"Shorter side of the image before its centre of --size is cut out; {OFTEN}.",
            show_default="in torchvision's proportion to --size",
            rich_help_panel=NETWORKS,
        ),
    ] = None,
    second_opinion: Annotated[
        Path | None,
        typer.Option(
            help="An auxiliary network, of train-auxiliary or import-auxiliary, that must agree under noise.",
            rich_help_panel=NETWORKS,
        ),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Noisy draws of each image for the second opinion.",
            show_default="8, 32 or 128, by --level",
            rich_help_panel=NETWORKS,
        ),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(
            help="profile, which also compares each image with views of it; similarity, in one pass; published; with a "
            "second opinion profile+opinion, or second-opinion alone.",
            show_default="profile, or profile+opinion",
            rich_help_panel=RULE,
        ),
    ] = None,
    level: Annotated[
        str,
        typer.Option(
            help="Views that the profile compares with: light (1), standard (2) or full (4); and draws of the second "
            "opinion.",
            rich_help_panel=RULE,
        ),
    ] = "standard",
    view_seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Seed of the views; keep it secret, as the guard file. The same seeds give the same guard.",
            show_default="drawn anew for each guard",
            rich_help_panel=RULE,
        ),
    ] = None,
    shuffle: Annotated[
        bool, typer.Option("--shuffle", help="Learn each class in random order.", rich_help_panel=RULE)
    ] = False,
    seed: Annotated[
        int,
        typer.Option(
            help="Seed of what is held out, of corrupted copies and of --shuffle; the views have --view-seed.",
            rich_help_panel=RULE,
        ),
    ] = 0,
    alpha: Annotated[
        float,
        typer.Option(
            help="False-alarm rate to promise on clean images; needs 1/alpha - 1 images that calibrate.",
            rich_help_panel=CALIBRATION,
        ),
    ] = 0.05,
    calibration: Annotated[
        float,
        typer.Option(
            help="Share of the images of each class held out of learning to calibrate the threshold.",
            rich_help_panel=CALIBRATION,
        ),
    ] = 0.2,
    calibrate_on: Annotated[
        Path | None,
        typer.Option(
            help="Calibrate on the clean images of this folder or CSV file instead, best on images that the network "
            "was not trained on; then all of DATA is learned.",
            show_default="the share held out",
            rich_help_panel=CALIBRATION,
        ),
    ] = None,
    ray: Ray = None,
    batch_size: BatchSize = 32,
    workers: Workers = None,
    device: Device = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="File that keeps features.",
            show_default="in the user's cache folder",
            rich_help_panel=SPEED,
        ),
    ] = None,
    cache_limit: Annotated[
        float | None,
        typer.Option(
            help="Gigabytes that the cache may hold; what was not used for longest goes.",
            show_default="4.3",
            rich_help_panel=SPEED,
        ),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Keep no features on disk.", rich_help_panel=SPEED)
    ] = False,
) -> None:
    """Learn what clean images look like to a network, in one pass, and write a guard.

    Exit status: 0 if the guard was written, 2 for a mistake, 74 if it could not be written.
    """
    check_output(output, "the guard")
    if features is not None:
        fit_features(
            features,
            output,
            alpha=alpha,
            calibration=calibration,
            seed=seed,
            foreign=given_beside(context, FOR_FEATURES | ({"rule"} if rule == "similarity" else set())),
        )
        return
    if data is None:
        raise InputError("expected a folder of images or a CSV file, or --features; got neither")
    if second_opinion is None and draws is not None:
        raise InputError("--draws needs --second-opinion, the network that they belong to")
    if no_cache and (cache or cache_limit):
        raise InputError("--cache and --cache-limit do not go with --no-cache; leave one out")
    from simdnn.guard.guard import Guard
    from simdnn.guard.listing import training_images
    from simdnn.guard.settings import Settings
    from simdnn.images.names import read_names
    from simdnn.rules.registry import default_rule

    given = None if names is None else read_names(names)
    rule = rule or default_rule(second_opinion=second_opinion is not None)
    settings = Settings(rule, alpha, seed=seed)
    if ray is None:  # mistakes show before weights are fetched
        training_images(data, settings, calibration, calibrate_on, given)

    from simdnn.networks.auxiliary import read_auxiliary
    from simdnn.networks.device import chosen_device
    from simdnn.networks.extractor import Extractor

    if ray is None:
        chosen_device(device)
    auxiliary = None if second_opinion is None else read_auxiliary(second_opinion)
    backbones = _backbones(backbone or [DEFAULT_BACKBONE], weights, layers, mean, std, size, resize)
    kept = None if no_cache else _cache(cache, cache_limit)
    networks: dict[str, Any] = {
        "backbones": backbones,
        "batch_size": batch_size,
        "cache": kept,
        "auxiliary": auxiliary,
        "limits": read_limits(max_pixels),
    }
    with nullcontext() if kept is None else kept:
        if ray is not None:
            from simdnn.guard.fitting import Fit

            asked = Fit(
                data,
                settings,
                level,
                calibration,
                calibrate_on,
                view_seed,
                shuffle,
                max_unreadable,
                draws,
                given,
            )
            guard = guard_on_ray(ray, asked, output, actors=workers, device=device, networks=networks)
        else:
            with progress_bar("reading", then="learning") as progress:
                guard = Guard.fit(
                    data,
                    Extractor(workers=workers, device=device, **networks),
                    rule=rule,
                    level=level,
                    alpha=alpha,
                    calibration=calibration,
                    calibrate_on=calibrate_on,
                    seed=seed,
                    view_seed=view_seed,
                    draws=draws,
                    shuffle=shuffle,
                    max_unreadable=max_unreadable,
                    names=given,
                    progress=progress,
                )
            guard.save(output)

    learned = guard.training
    echo(
        f"learned {len(guard.model.prototypes)} prototypes of {len(guard.classes)} classes from "
        f"{learned.learned} images; {learned.calibrated} more calibrate the threshold"
    )
    echo(shown(_calibrated(learned)))
    if learned.known:
        echo(f"{learned.known} images that the auxiliary network learned were kept out of calibration")
    for path in learned.unreadable:
        echo(shown(f"skipped, not readable: {path}"), err=True)
    echo(shown(f"wrote {output}"))


def _calibrated(training: Training) -> str:
    """Say which images calibrated the threshold, and what follows for the false alarms."""
    from simdnn.guard.training import HELD_OUT

    if training.calibrated_on == HELD_OUT:
        return (
            "calibrated on images of that folder; if the network was trained on these, unseen images are flagged more "
            "often than promised: --calibrate-on takes images that it has not seen"
        )
    left_out = f"; {training.left_out} were left out: they are learned" if training.left_out else ""
    return f"calibrated on {training.calibrated_on}{left_out}"


def _backbones(
    names: list[str],
    weights: list[str] | None,
    layers: list[str] | None,
    mean: list[str] | None,
    std: list[str] | None,
    size: list[int] | None,
    resize: list[int] | None,
) -> list[Backbone]:
    from simdnn.networks.backbone import load_backbone

    n = len(names)
    own_weights = _each(weights, n, "--weights")
    own_layers = _each(layers, n, "--layers")
    means = [three_numbers(text, "--mean") for text in _each(mean, n, "--mean", shared=True)]
    stds = [three_numbers(text, "--std") for text in _each(std, n, "--std", shared=True)]
    sizes = _each(size, n, "--size", shared=True)
    resizes = _each(resize, n, "--resize", shared=True)
    return [
        load_backbone(
            name,
            own_weights[i],
            () if (text := own_layers[i]) is None else tuple(text.split(",")),
            mean=means[i],
            std=stds[i],
            size=sizes[i],
            resize=resizes[i],
        )
        for i, name in enumerate(names)
    ]


def _each(values: list[T] | None, n: int, option: str, *, shared: bool = False) -> list[T | None]:
    """Return one value for each of the n networks; all None where the option was not given."""
    if not values:
        return [None] * n
    if shared and len(values) == 1:
        return [values[0]] * n
    if len(values) != n:
        either = "once, or " if shared else ""
        raise InputError(
            f"expected {option} {either}once for each of the {n} networks; got it {len(values)} times"
        )
    return [*values]


def _cache(path: Path | None, gigabytes: float | None) -> FeatureCache | None:
    from simdnn.networks.cache import DEFAULT_LIMIT, FeatureCache, open_default_cache

    limit = DEFAULT_LIMIT if gigabytes is None else int(gigabytes * 1e9)
    return open_default_cache(limit) if path is None else FeatureCache(path, limit)
