"""``simdnn demo``: the whole workflow on real data that needs no download."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simdnn.cli.libraries import lab_libraries
from simdnn.cli.progress import progress_bar
from simdnn.cli.text import echo, print_table

if TYPE_CHECKING:
    from simdnn.demo.run import Demo
    from simdnn.evaluation.intervals import Estimate


def demo(
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="Folder for everything it makes; an earlier demo is replaced."),
    ] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of every draw.")] = 0,
) -> None:
    """Train a small network on scanned digits, fit its guard, attack it, and report the detection rates."""
    with lab_libraries():
        from simdnn.demo.run import run_demo
    _print(run_demo(output, progress_bar, seed=seed))


def _print(made: Demo) -> None:
    from rich.box import SIMPLE
    from rich.table import Table

    from simdnn.demo.text import title

    table = Table(box=SIMPLE, show_edge=False, padding=0)
    for heading in ("", "images", "network\nfooled", "detected\n(eq. 14)", "flagged", "AUROC"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=not heading)
    for row in made.outcomes:
        shares = (_cell(estimate, 100, 1) for estimate in (row.fooled, row.detected, row.flagged))
        table.add_row(title(row.parameters), str(row.n), *shares, _cell(row.auroc, 1, 3))
    echo("Detection (rates in %, 95 % intervals below)\n")
    print_table(table)
    echo()

    record, paths = made.record, made.paths
    echo(
        f"False alarms on clean digits: {made.outcomes[0].flagged.per_cent()}. Promised are\n"
        f"at most {100 * record['alpha']:.0f} % on average over all calibrations; a single guard calibrated on\n"
        f"{record['calibrated']} clean images has at most {100 * record['false_alarm_bound']:.1f} %, with "
        f"a probability of 97.5 %.\n"
    )
    for what, where in (
        ("report", paths.report),
        ("guard", paths.guard),
        ("audit store", paths.audit),
        ("attacked images", paths.attacked),
        ("figures", paths.results),
    ):
        echo(f"{what:<16}{where}")
    echo(
        f"\nTry next:\n"
        f"  simdnn check {paths.guard} {paths.attacked / 'pgd'}\n"
        f"  simdnn explain {paths.guard} {_first(paths.attacked / 'pgd')} -o why.png\n"
        f"  simdnn prototypes {paths.guard} list\n"
        f"  simdnn audit {paths.audit} list --limit 10"
    )


def _cell(estimate: Estimate | None, scale: int, digits: int) -> str:
    """Write a value over its interval."""
    if estimate is None:
        return ""
    value, low, high = (f"{scale * number:.{digits}f}" for number in estimate)
    return f"{value}\n{low}-{high}"


def _first(folder: Path) -> Path:
    return min(folder.rglob("*.png"))
