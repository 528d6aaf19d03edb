"""``simdnn audit``: what people did, what is retained, backups."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from simdnn.cli.audit import Images, open_store, writing
from simdnn.cli.audit import app as app
from simdnn.cli.options import AsJson
from simdnn.cli.text import echo, shown
from simdnn.errors import InputError

By = Annotated[str | None, typer.Option(help="Who does so.")]

_AGES = {"h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_SIZES = {"": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@app.command()
def actions(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="How many at most, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what people did: labels, notes, undos, edits of prototypes, changes of the guard, retention."""
    for action in open_store(context).actions(limit=limit):
        if as_json:
            echo(json.dumps(action.as_dict()))
            continue
        change = " -> ".join(
            "none" if value is None else value if isinstance(value, str) else json.dumps(value)
            for value in (action.before, action.after)
        )
        who = f" by {action.who}" if action.who else ""
        echo(
            shown(
                f"{action.id}  {action.time:%Y-%m-%d %H:%M:%S}  {action.what}, {action.target}{who}: {change}"
            )
        )


@app.command()
def undo(
    context: typer.Context,
    action: Annotated[int, typer.Argument(metavar="ACTION", help="As `actions` shows it.")],
    by: By = None,
) -> None:
    """Take a label back, or all of a bulk label. Records that were labelled again since are left as they are."""
    _, number = open_store(context, read_only=False).undo(action, by=by)
    echo(
        f"{number} record{'' if number == 1 else 's'} {'has' if number == 1 else 'have'} the label from before"
    )


@app.command()
def retain(
    context: typer.Context,
    age: Annotated[
        str | None, typer.Option(metavar="AGE", help="Retain records up to this age: 12h, 90d, 8w, 2y.")
    ] = None,
    count: Annotated[int | None, typer.Option(min=0, help="Retain this many records.")] = None,
    size: Annotated[
        str | None, typer.Option("--bytes", metavar="SIZE", help="Retain this much of images: 500MB, 20GB.")
    ] = None,
    images: Images = None,
    keep_images: Annotated[
        bool,
        typer.Option(
            "--keep-images", help="Leave the images where they are; no record then says which they were."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")
    ] = False,
    by: By = None,
) -> None:
    """Remove records, oldest first, with their images; what a person labelled or noted stays.

    Where images were kept, --images says where they are, or --keep-images leaves them there.
    The chain can still be verified: the action that this is says what is missing. Chain values noted before may be
    among what is removed: note them anew.
    """
    from simdnn.audit.retention import Limits, retain

    if images is not None and keep_images:
        raise InputError("expected --images or --keep-images, got both; leave one out")
    limits = Limits(
        None if age is None else _age(age),
        count,
        None if size is None else round(_number("--bytes", size, _SIZES)),
    )
    store = open_store(context, images=images, read_only=False)
    done = retain(store, limits, by=by, dry_run=dry_run, keep_images=keep_images)
    echo(
        f"{'would remove' if dry_run else 'removed'} {done.removed} records and {done.images} images "
        f"({done.image_bytes} bytes); {done.kept} records stay, {done.labelled} of them with labels or notes"
    )
    if done.missing:
        echo(shown(f"images that were not in {images}: {done.missing}"), err=True)
    if done.left:
        echo(f"images that stay, though no record names them any more: {done.left}", err=True)


@app.command()
def backup(
    context: typer.Context,
    output: Annotated[Path, typer.Option("-o", "--output", help="The .zip file to write.")],
    images: Images = None,
) -> None:
    """Write all of the store into one file, with its images if --images says where they are; others may go on."""
    from simdnn.audit.backup import back_up

    store = open_store(context, images=images)
    with writing(output) as file:
        done = back_up(store, file)
    rows = ", ".join(f"{number} {table}{'' if number == 1 else 's'}" for table, number in done.rows.items())
    echo(f"wrote {rows} and {done.images} images to {shown(output)}")
    for digest in done.missing:
        echo(f"the image {digest} is missing or was altered, and is not in it", err=True)
    if done.missing:
        raise typer.Exit(1)


@app.command()
def restore(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="What `backup` wrote.")],
    images: Images = None,
) -> None:
    """Read a backup into a store that is empty or not there yet, of this kind of database or another."""
    from simdnn.audit.backup import restore

    if not source.is_file():
        raise InputError(f"there is no backup {source}")
    done = restore(source, open_store(context, images=images, read_only=False, create=True))
    rows = ", ".join(f"{number} {table}{'' if number == 1 else 's'}" for table, number in done.rows.items())
    echo(f"restored {rows} and {done.images} images; the chains verify")
    for digest in done.missing:
        echo(f"the image {digest} was altered in the backup", err=True)
    if done.missing:
        raise typer.Exit(1)


def _age(text: str) -> timedelta:
    from simdnn.audit.retention import LONGEST

    seconds = _number("--age", text, _AGES)
    if seconds > LONGEST.total_seconds():
        raise InputError(f"--age takes 1000y at most; got {text!r}")
    return timedelta(seconds=seconds)


def _number(option: str, text: str, units: dict[str, int]) -> float:
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?) ?([a-zA-Z]*)", text)
    if found is None or found[2] not in units:
        named = ", ".join(f"90{unit}" for unit in units)
        raise InputError(f"{option} takes a number with a unit, one of {named}; got {text!r}")
    return float(found[1]) * units[found[2]]
