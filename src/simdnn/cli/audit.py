"""``simdnn audit``: look through what was flagged, and say what it was."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from simdnn.cli.audit_filters import (
    HumanLabelled,
    ModelId,
    OfClass,
    PMax,
    PMin,
    Since,
    Token,
    Unlabelled,
    Until,
    Verdict,
    selected,
)
from simdnn.cli.options import AsJson
from simdnn.cli.text import WIDE, echo, shown
from simdnn.errors import InputError, OutputError

if TYPE_CHECKING:
    from simdnn.audit.records import AuditRecord, HumanLabel
    from simdnn.audit.store import AuditStore

app = typer.Typer(
    help="List, show, label, export, verify, retain and back up what was flagged.", no_args_is_help=True
)

RecordId = Annotated[int, typer.Argument(metavar="ID", help="As `list` shows it.")]
Images = Annotated[
    str | None,
    typer.Option(metavar="FOLDER", help="Folder, or URL for fsspec, of the images that were kept."),
]

SCREENFUL = 50
"""Records that `list` shows people where they do not say how many."""


@app.callback()
def store(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="STORE", help="The store: a file, or a database URL.")],
) -> None:
    """List, show, label, export and verify what was flagged.

    Only `label`, `undo`, `retain`, `restore` and `upgrade` change the store.
    """
    context.obj = target


@app.command("list")
def list_records(
    context: typer.Context,
    verdict: Verdict = None,
    label: HumanLabelled = None,
    unlabelled: Unlabelled = False,
    since: Since = None,
    until: Until = None,
    class_name: OfClass = None,
    p_min: PMin = None,
    p_max: PMax = None,
    model_id: ModelId = None,
    token: Token = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many at most, newest first.", show_default=f"{SCREENFUL}; with --json all"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the records, newest first."""
    only = selected(verdict, label, unlabelled, since, until, class_name, p_min, p_max, model_id, token)
    found = open_store(context)
    if limit is None and not as_json:
        limit = SCREENFUL
    records = found.stream(limit=limit, **only)
    if as_json:
        for record in records:
            echo(json.dumps(record.as_dict()))
        return
    from simdnn.cli.audit_list import listed

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE
    for line in listed(records, width):
        echo(line)
    total = found.count(**only)
    if limit is not None and total > limit:
        echo(f"{total - limit} older records are not shown; --limit {total} shows all", err=True)


@app.command()
def show(
    context: typer.Context,
    record_id: RecordId,
    images: Images = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the kept image here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show all of one record and every label that it was given, and write the image it is about."""
    found = open_store(context, images=images)
    record, labels = found.get(record_id), found.labels(record_id)
    if output is not None:
        image = found.image(record)
        if image is None:
            raise InputError(
                "the image was not kept, or --images does not say where; "
                "`simdnn check --audit-images FOLDER` keeps them"
            )
        with writing(output) as file:
            file.write(image)
    if as_json:
        echo(json.dumps(record.as_dict() | {"labels": [said.as_dict() for said in labels]}))
    else:
        _print(record, labels)


@app.command()
def label(
    context: typer.Context,
    record_id: RecordId,
    said: Annotated[
        str, typer.Argument(metavar="attack|clean|unsure", help="What it was; clean is a false alarm.")
    ],
    by: Annotated[str | None, typer.Option(help="Who says so.")] = None,
    true_class: Annotated[str | None, typer.Option("--class", help="The class that you see.")] = None,
    note: Annotated[str | None, typer.Option(help="Any remark.")] = None,
) -> None:
    """Say what a flagged image really was. The latest label stands; `show` lists all of them."""
    found = open_store(context, read_only=False)
    record = found.label(record_id, said, by=by, human_class=true_class, note=note)
    earlier = len(found.labels(record_id)) - 1
    kept = f"; `show {record.id}` lists its {earlier} earlier label{'s' * (earlier > 1)}" if earlier else ""
    echo(f"record {record.id} is labelled {record.human_label}{kept}")


@app.command()
def export(
    context: typer.Context,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="A .csv or .jsonl file, or a .zip of the kept images and a .jsonl; - for JSON lines on the screen. In "
            "a .csv, a text that a spreadsheet would take for a formula has an apostrophe in front.",
        ),
    ],
    images: Images = None,
    verdict: Verdict = None,
    label: HumanLabelled = None,
    unlabelled: Unlabelled = False,
    since: Since = None,
    until: Until = None,
    class_name: OfClass = None,
    p_min: PMin = None,
    p_max: PMax = None,
    model_id: ModelId = None,
    token: Token = None,
) -> None:
    """Write records into a file, newest first: all, or those that are asked for."""
    from simdnn.audit.export import as_csv, as_json_lines, as_zip

    only = selected(verdict, label, unlabelled, since, until, class_name, p_min, p_max, model_id, token)
    store = open_store(context, images=images)
    if str(output) == "-":
        for record in store.stream(**only):
            echo(json.dumps(record.as_dict()))
        return
    kinds: dict[str, Callable[[Iterator[AuditRecord]], Iterator[bytes]]] = {
        ".csv": as_csv,
        ".jsonl": as_json_lines,
        ".zip": lambda records: as_zip(records, store.image),
    }
    if output.suffix not in kinds:
        raise InputError(f"expected a file that ends in {' or '.join(kinds)}; got {output.name}")
    if output.suffix == ".zip" and images is None:
        raise InputError("a .zip is of the images that were kept; say with --images where they are")
    number = 0

    def counted() -> Iterator[AuditRecord]:
        nonlocal number
        for record in store.stream(**only):
            number += 1
            yield record

    with writing(output) as file:
        for piece in kinds[output.suffix](counted()):
            file.write(piece)
    echo(f"wrote {number} records to {shown(output)}")


@app.command()
def verify(
    context: typer.Context,
    images: Images = None,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="HASH", help="A chain value that an earlier `verify` printed; it must still be there."
        ),
    ] = None,
) -> None:
    """Find records and labels that were altered, added or removed behind the store's back, and altered images.

    Exit status: 0 if there are none, 1 if there are. Who can write the store can also compute its hashes anew: note
    the chain values that are printed where they cannot write, and give one to --head later.
    """
    found = open_store(context, images=images)
    faults = 0
    for fault in found.verify(head=head):
        echo(shown(fault))
        faults += 1
    for table, (number, chain) in sorted(found.heads().items(), reverse=True):
        echo(f"{number} {table}{'' if number == 1 else 's'}" + (f", chain value {chain}" if number else ""))
    if faults:
        echo(f"{faults} fault{'s' * (faults > 1)}")
        raise typer.Exit(1)
    echo("nothing was altered")


@app.command()
def upgrade(context: typer.Context) -> None:
    """Bring a store that an older version wrote to the schema of this one."""
    open_store(context, read_only=False)
    echo("the store has the schema of this version")


def open_store(
    context: typer.Context, *, images: str | None = None, read_only: bool = True, create: bool = False
) -> AuditStore:
    """Open the store of the command, until it ends."""
    from simdnn.audit.store import AuditStore

    return context.with_resource(
        AuditStore.open(context.obj, images=images, create=create, read_only=read_only)
    )


@contextmanager
def writing(output: Path) -> Iterator[BinaryIO]:
    """Open a file that is there once all of it is; OutputError if it cannot be written."""
    from simdnn.atomic import whole_file

    try:
        with whole_file(output) as file:
            yield file
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error.strerror}") from error


def _print(record: AuditRecord, labels: list[HumanLabel]) -> None:
    for name, value in record.as_dict().items():
        if name == "evidence":
            for neighbour in record.evidence:
                echo(
                    f"{'evidence':<17} {neighbour.similarity:.4f} {shown(neighbour.prototype)} "
                    f"(shown by {shown(neighbour.exemplar)})"
                )
        elif value is not None:
            echo(f"{name:<17} {shown(value)}")
    for said in labels:
        who = f" by {said.labelled_by}" if said.labelled_by else ""
        seen = f", class {said.human_class}" if said.human_class else ""
        note = f": {said.note}" if said.note else ""
        echo(
            shown(
                f"{'labelled':<17} {said.labelled_at:%Y-%m-%d %H:%M:%S} {said.human_label or 'none'}{who}{seen}{note}"
            )
        )
