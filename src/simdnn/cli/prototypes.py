"""``simdnn prototypes``: look at what a guard compares with, and edit it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simdnn.cli.group import BelowFile
from simdnn.cli.options import AsJson, Device, GuardFile, Trust, Weights, check_output, load_guard
from simdnn.cli.text import echo, print_table, shown
from simdnn.errors import InputError, OutputError
from simdnn.guard.facts import prototype_facts

if TYPE_CHECKING:
    from simdnn.guard.guard import Guard
    from simdnn.paper.prototypes import Prototype

app = typer.Typer(
    cls=BelowFile,
    help="List, show, add, remove and relabel the prototypes of a guard.",
    no_args_is_help=True,
)

PrototypeId = Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it: label/number.")]


@dataclass
class _Target:
    path: Path
    weights: list[str] | None
    trust: list[str] | None

    @cached_property
    def guard(self) -> Guard:
        """The guard, read when a command needs it: none does to show its help."""
        return load_guard(self.path)


@app.callback()
def target(context: typer.Context, guard: GuardFile, weights: Weights = None, trust: Trust = None) -> None:
    """List, show, add, remove and relabel the prototypes of a guard.

    Two edits at once wait for each other.
    """
    context.obj = _Target(guard, weights, trust)


@app.command("list")
def list_prototypes(
    context: typer.Context,
    label: Annotated[str | None, typer.Option(help="Only those of this class.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the prototypes."""
    guard: Guard = context.obj.guard
    rows = [prototype_facts(guard, p) for p in guard.model.prototypes if label in (None, p.label)]
    if as_json:
        for row in rows:
            echo(json.dumps(row))
        return
    from rich.table import Column, Table

    right = [Column(name, justify="right") for name in ("support", "sigma")]
    table = Table(Column("prototype", overflow="fold"), *right, Column("exemplar", overflow="fold"), box=None)
    for row in rows:
        table.add_row(shown(row["id"]), str(row["support"]), f"{row['sigma']:.4g}", shown(row["exemplar"]))
    print_table(table)


@app.command()
def show(
    context: typer.Context,
    prototype: PrototypeId,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write its exemplar here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show one prototype, and write the training image that stands for it."""
    guard: Guard = context.obj.guard
    found = guard.model.prototypes[prototype]
    if output is not None:
        check_output(output, "the picture")
        _write_picture(guard, found, output)
    row = prototype_facts(guard, found)
    if as_json:
        echo(json.dumps(row))
        return
    for name, value in row.items():
        echo(shown(f"{name:<9} {value}"))
    if output is not None:
        echo(shown(f"wrote {output}"))


@app.command()
def add(
    context: typer.Context,
    image: Annotated[Path, typer.Argument(help="The image to become a prototype.")],
    label: Annotated[str, typer.Option(help="Its class, known or new.")],
    weights: Weights = None,
    trust: Trust = None,
    device: Device = None,
) -> None:
    """Make an image a prototype."""
    target: _Target = context.obj
    trusted = [*(target.trust or []), *(trust or [])]
    _edit(
        target.path,
        lambda guard: f"added {guard.add_prototype(label, image)}",
        weights=weights or target.weights,
        trust=trusted,
        device=device,
    )


@app.command()
def remove(context: typer.Context, prototype: PrototypeId) -> None:
    """Remove a prototype; no other changes."""

    def edit(guard: Guard) -> str:
        guard.model.prototypes.remove(prototype)
        return f"removed {prototype}"

    _edit(context.obj.path, edit)


@app.command()
def relabel(
    context: typer.Context,
    prototype: PrototypeId,
    label: Annotated[str, typer.Argument(help="Its new class, known or new.")],
) -> None:
    """Move a prototype to another class."""
    _edit(
        context.obj.path,
        lambda guard: f"{prototype} is now {guard.model.prototypes.relabel(prototype, label)}",
    )


def _write_picture(guard: Guard, prototype: Prototype, output: Path) -> None:
    from PIL import Image

    from simdnn.atomic import write_whole

    kinds = Image.registered_extensions()
    if output.suffix.lower() not in kinds:
        raise InputError(f"expected a picture's file name, such as {output.stem}.png; got {output}")
    content = BytesIO()
    guard.exemplar(prototype.exemplar).picture.save(content, kinds[output.suffix.lower()])
    try:
        write_whole(output, content.getvalue())
    except OSError as error:
        raise OutputError(f"cannot write a picture to {output}: {error.strerror}") from error


def _edit(
    path: Path,
    edit: Callable[[Guard], str],
    *,
    weights: list[str] | None = None,
    trust: list[str] | None = None,
    device: str | None = None,
) -> None:
    """Read a guard, edit and write it, while nobody else does."""
    from simdnn.guard.file import locked
    from simdnn.onnx.file import is_exported

    if is_exported(path):
        raise InputError(
            f"expected a guard file that `simdnn fit` wrote, got {path}, an exported one; edit guard.simdnn, the one "
            "it was made from, and export it again: simdnn export"
        )
    with locked(path):
        guard = load_guard(path, weights, trust, device)
        done = edit(guard)
        guard.save(path)
    echo(shown(f"{done}; {path} now has {len(guard.model.prototypes)} prototypes"))
