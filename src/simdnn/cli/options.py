"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simdnn.errors import InputError

if TYPE_CHECKING:
    from simdnn.guard.guard import Guard
    from simdnn.images.limits import ReadLimits

DATA, NETWORKS, RULE, OPINION, CALIBRATION, SPEED, RESULT = (
    "Data",
    "Networks",
    "Rule",
    "Second opinion",
    "Calibration",
    "Speed and cache",
    "Result",
)
"""Panels of the help."""

GuardFile = Annotated[
    Path, typer.Argument(metavar="GUARD", help="The file that `simdnn fit` wrote, or `simdnn export`.")
]
Rule = Annotated[
    str | None,
    typer.Option(
        help="Decide by this rule instead of the guard's own: similarity or published; profile or second-opinion if "
        "fitted so.",
        rich_help_panel=RULE,
    ),
]
Alpha = Annotated[
    float | None,
    typer.Option(
        help="False-alarm rate on clean images, in place of the guard's own; not for published.",
        rich_help_panel=RULE,
    ),
]
Certify = Annotated[
    bool,
    typer.Option(
        "--certify",
        help="Say how far away an original must be for the second opinion on it to be another: certified_radius.",
        rich_help_panel=OPINION,
    ),
]
CertifyDraws = Annotated[
    int,
    typer.Option("--draws", min=1, help="Noisy draws of each image for --certify.", rich_help_panel=OPINION),
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        help="Where the network's weights are now, if they have moved; once per network.",
        show_default="where they were, or beside the guard",
        rich_help_panel=NETWORKS,
    ),
]
Trust = Annotated[
    list[str] | None,
    typer.Option(
        help="Allow the guard to run this network's code, named as package.module:factory.",
        rich_help_panel=NETWORKS,
    ),
]
DEFAULT_BACKBONE = "vgg16"
"""The paper's choice of network."""
Mean = Annotated[
    str | None,
    typer.Option(
        help="Normalisation, as 0.5,0.5,0.5.",
        show_default="what torchvision's weights take",
        rich_help_panel=NETWORKS,
    ),
]
Std = Annotated[str | None, typer.Option(help="Normalisation, as 0.5,0.5,0.5.", rich_help_panel=NETWORKS)]
Size = Annotated[
    int | None,
    typer.Option(
        help="Side of the images the network takes.", show_default="its own", rich_help_panel=NETWORKS
    ),
]
Resize = Annotated[
    int | None,
    typer.Option(
        help="Shorter side of the image before its centre of --size is cut out; the same as --size cuts least.",
        show_default="in torchvision's proportion to --size",
        rich_help_panel=NETWORKS,
    ),
]
NetworkSize = Annotated[
    int | None,
    typer.Option(
        help="Side to which the noisy image is enlarged for the network; one trained on large images sees more then.",
        show_default="not enlarged",
    ),
]
Device = Annotated[
    str | None,
    typer.Option(help="cpu, cuda, cuda:1, mps.", show_default="a GPU if there is one", rich_help_panel=SPEED),
]
BatchSize = Annotated[
    int,
    typer.Option(min=1, help="Images that go through the network together.", rich_help_panel=SPEED),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="Threads that read images.", show_default="one per core, at most 8", rich_help_panel=SPEED
    ),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Pixels that a picture may have; larger ones count as unreadable. Of a WebP, or with more than 8 bits a "
        "channel, each counts as three.",
        show_default="150 million",
        rich_help_panel=SPEED,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.", rich_help_panel=RESULT)]


def load_guard(
    path: Path,
    weights: list[str] | None = None,
    trust: list[str] | None = None,
    device: str | None = None,
) -> Guard:
    """Read a guard with the given whereabouts of its weights, or one in an ONNX file, which has them in it."""
    from simdnn.onnx.file import is_exported

    if is_exported(path):
        from simdnn.onnx.guard import load_onnx

        if weights or trust:
            raise InputError(f"{path} has its networks in it; leave out --weights and --trust")
        return load_onnx(path, device=device)
    from simdnn.guard.guard import Guard

    return Guard.load(path, weights=weights or (), trust=trust or (), device=device)


def set_speed(guard: Guard, batch_size: int, workers: int | None, max_pixels: int | None) -> None:
    """Set how a guard's networks are fed; this loads them."""
    stream = guard.stream
    stream.batch_size = batch_size
    stream.workers = workers or stream.workers
    stream.limits = read_limits(max_pixels)


def read_limits(max_pixels: int | None) -> ReadLimits:
    """Return the bounds on reading an image."""
    from simdnn.images.limits import DEFAULT_LIMITS, ReadLimits

    return DEFAULT_LIMITS if max_pixels is None else ReadLimits(max_pixels=max_pixels)


def three_numbers(text: str | None, option: str) -> tuple[float, float, float] | None:
    """Read ``0.485,0.456,0.406``."""
    if text is None:
        return None
    try:
        red, green, blue = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"{option} takes three numbers such as 0.5,0.5,0.5; got {text!r}") from error
    return red, green, blue


def check_output(output: Path, what: str) -> None:
    """Raise InputError, before any work, if a file cannot be written there, or would take a device's place."""
    from os import W_OK, access

    folder = output.absolute().parent
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder} to write {output.name} into")
    if output.is_dir():
        raise InputError(f"expected a file to write {what} to, got the folder {output}; add a name")
    if output.exists() and not output.is_file():
        raise InputError(
            f"expected a file to write {what} to, got {output}, which is a device or a pipe; name a file"
        )
    target = output.resolve().parent
    if not access(target, W_OK):
        raise InputError(f"the folder {target} may not be written; name a file in another")
