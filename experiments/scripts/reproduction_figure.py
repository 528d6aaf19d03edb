"""The figure of docs/reproduction.md, from the records of table IV: the paper's Sim-DNN beside what we measured."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from matplotlib.figure import Figure

from simdnn.evaluation.baselines import BASELINES
from simdnn.evaluation.paper_tables import paper_cell
from simdnn.evaluation.plan_file import read_plan
from simdnn.evaluation.records import Records
from simdnn.evaluation.tables import Cell, Table, tables

PLAN = Path(__file__).parents[1] / "plans" / "table4.toml"
NETWORK = "MobileNet"
SERIES = {
    "the paper's Sim-DNN (images unknown, no interval given)": "#9a9a9a",
    "published rule, here": "#d08770",
    "default rule, here": "#2e6f9e",
    "best of the eleven others in each column, here": "#6a9f58",
}


def best_of_others(rows: dict[str, dict[str, Cell]], column: str) -> Cell:
    """Return the largest value of the baselines in a column, or an empty cell where none was measured."""
    cells = [rows[name][column] for name in BASELINES]
    return max(cells, key=lambda cell: -1.0 if cell.value is None else cell.value)


def described(cells: Iterable[Cell]) -> str:
    """Return what was measured, and whether some of it is of other code."""
    known = [cell for cell in cells if cell.value is not None]
    text = f"{NETWORK}, {min(cell.n for cell in known)} photographs an attack; bars: 95 % intervals"
    states = {"stale": "of an earlier version", "dirty": "from a tree with changes"}
    marked = [words for state, words in states.items() if any(cell.state == state for cell in known)]
    return f"{text}\nsome values are {' or '.join(marked)}" if marked else text


def drawn(table: Table) -> Figure:
    """Draw detection rates (eq. 14) by attack, with 95 % intervals."""
    attacks = [
        name for name in table.columns if paper_cell("I", "Ours", name) is not None and name != "clean"
    ]
    rows = {label: dict(zip(table.columns, cells, strict=True)) for label, cells in table.rows}
    found = [
        [Cell((paper_cell("I", "Ours", name) or 0) / 100) for name in attacks],
        [rows["sim-dnn published"][name] for name in attacks],
        [rows["sim-dnn profile standard"][name] for name in attacks],
        [best_of_others(rows, name) for name in attacks],
    ]
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    axes = figure.subplots()
    for number, ((label, colour), cells) in enumerate(zip(SERIES.items(), found, strict=True)):
        places = [column + (number - 1.5) * 0.2 for column in range(len(attacks))]
        values = [float("nan") if cell.value is None else 100 * cell.value for cell in cells]
        axes.bar(places, values, 0.19, color=colour, label=label)
        for place, cell, value in zip(places, cells, values, strict=True):
            if cell.low is not None and cell.high is not None:
                spread = [[value - 100 * cell.low], [100 * cell.high - value]]
                axes.errorbar(place, value, yerr=spread, color="black", linewidth=0.8, capsize=1.5)
    axes.set_xticks(range(len(attacks)), attacks)
    axes.set_ylim(0, 100)
    axes.set_ylabel("detected or rightly labelled, % (eq. 14)")
    axes.set_xlabel(described(cell for cells in found[1:] for cell in cells))
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def main() -> None:
    """Write the figure into the folder that the command line names, ``docs`` by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"))
    output = parser.parse_args().output
    plan = read_plan(PLAN)
    (table,) = [
        table
        for table in tables(plan, list(Records(plan.records)))
        if table.metric == "eq_14" and table.title.endswith(f": {NETWORK}")
    ]
    drawn(table).savefig(output / "reproduction.png", dpi=110)


if __name__ == "__main__":
    main()
