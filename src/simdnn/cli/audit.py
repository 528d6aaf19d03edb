"""``simdnn audit``: look through what was flagged, and say what it was."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from simdnn.cli.options import AsJson
from simdnn.cli.text import print_table, shown
from simdnn.errors import InputError

if TYPE_CHECKING:
    from simdnn.audit.store import AuditRecord, AuditStore

app = typer.Typer(help="List, show, label and export what was flagged.", no_args_is_help=True)

RecordId = Annotated[int, typer.Argument(metavar="ID", help="As `list` shows it.")]


@app.callback()
def store(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="STORE", help="The store: a file, or a database URL.")],
    images: Annotated[Path | None, typer.Option(help="Folder with the images that were kept.")] = None,
) -> None:
    """List, show, label and export what was flagged."""
    from simdnn.audit.store import AuditStore

    context.obj = context.with_resource(AuditStore.open(target, images=images, create=False))


@app.command("list")
def list_records(
    context: typer.Context,
    verdict: Annotated[str | None, typer.Option(help="Only those with this verdict.")] = None,
    label: Annotated[str | None, typer.Option(help="Only those labelled so: attack or clean.")] = None,
    unlabelled: Annotated[bool, typer.Option("--unlabelled", help="Only those nobody labelled.")] = False,
    since: Annotated[datetime | None, typer.Option(help="Only those from this time (UTC) on.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="How many at most, newest first.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the records, newest first."""
    records = _store(context).records(
        verdict=verdict,
        label=label,
        unlabelled=unlabelled,
        since=None if since is None else since.replace(tzinfo=UTC),
        limit=limit,
    )
    if as_json:
        for record in records:
            typer.echo(json.dumps(record.as_dict()))
        return
    table = Table("id", Column("time (UTC)", no_wrap=True), "verdict", "score", box=None)
    for header in ("classifier", "looks like", "human"):
        table.add_column(header)
    table.add_column("image", overflow="fold")  # a path that was cut names no image
    for record in records:
        table.add_row(
            str(record.id),
            f"{record.time:%Y-%m-%d %H:%M:%S}",
            record.verdict,
            "" if record.score is None else f"{record.score:.4g}",
            shown(record.classifier_label or ""),
            shown(record.label or ""),
            record.human_label or "",
            shown(record.path),
        )
    print_table(table)


@app.command()
def show(
    context: typer.Context,
    record_id: RecordId,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the kept image here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show all of one record, and write the image it is about."""
    record = _store(context).get(record_id)
    if output is not None:
        image = _store(context).image(record)
        if image is None:
            raise InputError(
                "the image was not kept, or --images does not say where; "
                "`simdnn check --audit-images FOLDER` keeps them"
            )
        with _writing(output):
            output.write_bytes(image)
    if as_json:
        typer.echo(json.dumps(record.as_dict()))
    else:
        _print(record)


@app.command()
def label(
    context: typer.Context,
    record_id: RecordId,
    said: Annotated[str, typer.Argument(metavar="attack|clean", help="What it was; clean is a false alarm.")],
    by: Annotated[str | None, typer.Option(help="Who says so.")] = None,
    true_class: Annotated[str | None, typer.Option("--class", help="The class that you see.")] = None,
    note: Annotated[str | None, typer.Option(help="Any remark.")] = None,
) -> None:
    """Say what a flagged image really was."""
    record = _store(context).label(record_id, said, by=by, human_class=true_class, note=note)
    typer.echo(f"record {record.id} is labelled {record.human_label}")


@app.command()
def export(
    context: typer.Context,
    output: Annotated[Path, typer.Option("-o", "--output", help="A .csv or .jsonl file; - for the screen.")],
) -> None:
    """Write all records into a file, newest first."""
    from simdnn.audit.export import write_csv, write_json_lines

    records = _store(context).records()
    if str(output) == "-":
        write_json_lines(records, sys.stdout)
        return
    writers = {".csv": write_csv, ".jsonl": write_json_lines}
    if output.suffix not in writers:
        raise InputError(f"expected a file that ends in {' or '.join(writers)}; got {output.name}")
    with _writing(output), output.open("w", newline="", encoding="utf-8") as file:
        writers[output.suffix](records, file)
    typer.echo(f"wrote {len(records)} records to {output}")


def _store(context: typer.Context) -> AuditStore:
    found: AuditStore = context.obj
    return found


@contextmanager
def _writing(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write {output}: {error.strerror}") from error


def _print(record: AuditRecord) -> None:
    for name, value in record.as_dict().items():
        if name == "evidence":
            for neighbour in record.evidence:
                typer.echo(
                    f"{'evidence':<17} {neighbour.similarity:.4f} {neighbour.prototype} (shown by {neighbour.exemplar})"
                )
        elif value is not None:
            typer.echo(f"{name:<17} {value}")
