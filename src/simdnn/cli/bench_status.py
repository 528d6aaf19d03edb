"""``simdnn bench status``: which records still belong to the code, the data and the weights."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import asdict
from pathlib import Path

import typer

from simdnn.cli.bench_options import (
    Cache,
    Plans,
    RecordsFolder,
    Weights,
    chosen_plans,
    folders_of,
    records_of,
)
from simdnn.cli.libraries import lab_libraries
from simdnn.cli.options import AsJson
from simdnn.cli.progress import progress_bar
from simdnn.cli.text import echo, shown


def status(
    plans: Plans = None,
    records: RecordsFolder = None,
    cache: Cache = None,
    weights: Weights = Path("build/weights"),
    as_json: AsJson = False,
) -> None:
    """List the cells whose record is stale, from a working tree with changes, broken or missing.

    A record is stale if the plan, the version of the method, the images or the weights are other ones by now. `bench
    run` measures such cells again. Exit status: 0 if no record is stale or from changed code, else 1.
    """
    count: Counter[str] = Counter()
    with lab_libraries():
        from simdnn.evaluation.status import STATES, statuses

        for plan in chosen_plans(plans):
            methods: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
            states: Counter[str] = Counter()
            for cell in statuses(plan, records_of(plan, records), folders_of(cache, weights), progress_bar):
                states[cell.state] += 1
                methods[cell.network, cell.state, cell.reason][cell.method] += 1
                if as_json:
                    echo(json.dumps(asdict(cell)))
            count += states
            if not as_json:
                echo(f"{plan.name}: " + ", ".join(f"{states[state]} {state}" for state in STATES))
                for (network, state, reason), cells in methods.items():
                    if state != "current" or reason:
                        told = f": {reason}" if reason else ""
                        echo(shown(f"  {network}: {cells.total()} {state}{told} ({', '.join(cells)})"))
    if count["stale"] or count["dirty"]:
        raise typer.Exit(1)
