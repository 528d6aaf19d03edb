"""``simdnn evaluate``: measure a guard on one's own images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simdnn.cli.options import (
    Alpha,
    AsJson,
    BatchSize,
    Device,
    GuardFile,
    MaxPixels,
    Rule,
    Trust,
    Weights,
    Workers,
    check_output,
    load_guard,
    set_speed,
)
from simdnn.cli.progress import progress_bar
from simdnn.cli.status import UNREADABLE
from simdnn.cli.text import echo, print_table, shown

if TYPE_CHECKING:
    from simdnn.evaluation.guard_evaluation import GuardEvaluation


def evaluate(
    guard: GuardFile,
    clean: Annotated[
        Path,
        typer.Argument(help="Folder of clean images that neither the guard nor its network has learned."),
    ],
    attacked: Annotated[
        list[Path] | None, typer.Argument(help="Folders of attacked images, such as `simdnn attack` writes.")
    ] = None,
    as_json: AsJson = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write a report, an HTML file, too.")
    ] = None,
    alpha: Alpha = None,
    rule: Rule = None,
    weights: Weights = None,
    trust: Trust = None,
    device: Device = None,
    batch_size: BatchSize = 32,
    workers: Workers = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Measure false alarms on clean images and detection of attacked ones, and say whether the promise holds.

    Subfolders named as the guard's classes are the images' true labels.

    Exit status: 0 if every image was judged, 1 if some could not be read, 2 for a mistake, 74 if the report could not
    be written.
    """
    from simdnn.evaluation.guard_evaluation import evaluate_guard

    if output is not None:
        check_output(output, "the report")
    loaded = load_guard(guard, weights, trust, device)
    set_speed(loaded, batch_size, workers, max_pixels)
    with progress_bar("judging") as progress:
        found = evaluate_guard(loaded, clean, attacked or (), rule=rule, alpha=alpha, progress=progress)
    if output is not None:
        from simdnn.evaluation.guard_report import write_guard_report

        write_guard_report(output, found)
    if as_json:
        echo(json.dumps(found.as_dict()))
    else:
        _print(found)
        if output is not None:
            echo(shown(f"wrote {output}"))
    unreadable = [v for group in (found.clean, *found.attacked) for v in group.unreadable]
    for verdict in unreadable:
        echo(shown(f"not readable: {verdict.path}: {verdict.error}"), err=True)
    if unreadable:
        raise typer.Exit(UNREADABLE)


def _print(found: GuardEvaluation) -> None:
    from rich.table import Table

    labelled = any(row.detected is not None for row in found.rates)
    table = Table(box=None, pad_edge=False)
    table.add_column("images")
    for head in ("n", "flagged", *(("eq. 14", "label correct") if labelled else ()), "AUROC"):
        table.add_column(head, justify="right")
    for row in found.rates:
        kind = "attacked" if row.attacked else "clean"
        shares = (row.flagged, *((row.detected, row.label_correct) if labelled else ()))
        area = "" if row.auroc is None else row.auroc.decimal()
        texts = ("" if share is None else share.per_cent() for share in shares)
        table.add_row(shown(f"{kind}: {row.folder}"), str(row.n), *texts, area)
    print_table(table)
    echo("in brackets: 95 % intervals")
    echo()
    if found.promise is None:
        echo("the published rule promises no false-alarm rate")
    else:
        echo(found.promise.sentence)
        echo(f"one-sided p = {found.promise.p_value:.3g}, with {found.promise.calibrated} calibration images")
    if found.clean.known:
        echo(f"{found.clean.known} clean images calibrate the guard and are left out")
