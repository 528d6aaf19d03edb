"""``simdnn prototypes``: look at what a guard compares with, and edit it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from simdnn.cli.options import AsJson, GuardFile, Trust, Weights, load_guard
from simdnn.cli.text import print_table, shown
from simdnn.errors import InputError

if TYPE_CHECKING:
    from simdnn.guard.guard import Guard
    from simdnn.paper.prototypes import Prototype

app = typer.Typer(help="List, show, add, remove and relabel the prototypes of a guard.", no_args_is_help=True)

PrototypeId = Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it: label/number.")]


@dataclass
class _Target:
    path: Path
    weights: list[str] | None
    trust: list[str] | None

    @cached_property
    def guard(self) -> Guard:
        """The guard, read when a command needs it: none does to show its help."""
        return load_guard(self.path, self.weights, self.trust)


@app.callback()
def target(context: typer.Context, guard: GuardFile, weights: Weights = None, trust: Trust = None) -> None:
    """List, show, add, remove and relabel the prototypes of a guard."""
    context.obj = _Target(guard, weights, trust)


@app.command("list")
def list_prototypes(
    context: typer.Context,
    label: Annotated[str | None, typer.Option(help="Only those of this class.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the prototypes."""
    guard: Guard = context.obj.guard
    rows = [_plain(guard, p) for p in guard.model.prototypes if label in (None, p.label)]
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
        return
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
        try:
            guard.exemplar(found.exemplar).picture.save(output)
        except (OSError, ValueError) as error:
            raise InputError(f"cannot write a picture to {output}: {error}") from error
    row = _plain(guard, found)
    if as_json:
        typer.echo(json.dumps(row))
        return
    for name, value in row.items():
        typer.echo(shown(f"{name:<9} {value}"))
    if output is not None:
        typer.echo(shown(f"wrote {output}"))


@app.command()
def add(
    context: typer.Context,
    image: Annotated[Path, typer.Argument(help="The image to become a prototype.")],
    label: Annotated[str, typer.Option(help="Its class, known or new.")],
) -> None:
    """Make an image a prototype."""
    added = context.obj.guard.add_prototype(label, image)
    _save(context.obj, f"added {added}")


@app.command()
def remove(context: typer.Context, prototype: PrototypeId) -> None:
    """Remove a prototype; no other changes."""
    context.obj.guard.model.prototypes.remove(prototype)
    _save(context.obj, f"removed {prototype}")


@app.command()
def relabel(
    context: typer.Context,
    prototype: PrototypeId,
    label: Annotated[str, typer.Argument(help="Its new class, known or new.")],
) -> None:
    """Move a prototype to another class."""
    moved = context.obj.guard.model.prototypes.relabel(prototype, label)
    _save(context.obj, f"{prototype} is now {moved}")


def _plain(guard: Guard, prototype: Prototype) -> dict[str, Any]:
    return {
        "id": prototype.id,
        "label": prototype.label,
        "support": prototype.support,
        "sigma": prototype.sigma,
        "exemplar": guard.exemplar(prototype.exemplar).name,
    }


def _save(target: _Target, done: str) -> None:
    target.guard.save(target.path)
    typer.echo(shown(f"{done}; {target.path} now has {len(target.guard.model.prototypes)} prototypes"))
