"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simdnn.errors import InputError

if TYPE_CHECKING:
    from simdnn.guard.guard import Guard

GuardFile = Annotated[Path, typer.Argument(metavar="GUARD", help="The file that `simdnn fit` wrote.")]
Rule = Annotated[
    str | None,
    typer.Option(
        help="Decide by this rule instead of the guard's own: similarity or published, or profile if fitted so."
    ),
]
Alpha = Annotated[
    float | None,
    typer.Option(help="False-alarm rate on clean images, in place of the guard's own; not for published."),
]
Weights = Annotated[
    list[str] | None,
    typer.Option(help="Where the network's weights are now, if they have moved; once per network."),
]
Trust = Annotated[
    list[str] | None,
    typer.Option(help="Allow the guard to run this network's code, named as package.module:factory."),
]
DEFAULT_BACKBONE = "vgg16"
"""The paper's choice of network."""
Mean = Annotated[
    str | None,
    typer.Option(help="Normalisation, as 0.5,0.5,0.5.", show_default="what torchvision's weights take"),
]
Std = Annotated[str | None, typer.Option(help="Normalisation, as 0.5,0.5,0.5.")]
Size = Annotated[
    int | None, typer.Option(help="Side of the images the network takes.", show_default="its own")
]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:1, mps.", show_default="a GPU if there is one")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]


def load_guard(path: Path, weights: list[str] | None = None, trust: list[str] | None = None) -> Guard:
    """Read a guard with the given whereabouts of its weights."""
    from simdnn.guard.guard import Guard

    return Guard.load(path, weights=weights or (), trust=trust or ())


def three_numbers(text: str | None, option: str) -> tuple[float, float, float] | None:
    """Read ``0.485,0.456,0.406``."""
    if text is None:
        return None
    try:
        red, green, blue = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"{option} takes three numbers such as 0.5,0.5,0.5; got {text!r}") from error
    return red, green, blue
