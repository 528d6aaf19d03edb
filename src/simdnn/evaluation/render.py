"""Render tables as Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from io import StringIO

from simdnn.evaluation.tables import AREAS, Cell, Table

MARKS = {"": "", "dirty": "\N{DOUBLE DAGGER}", "stale": "\N{DAGGER}"}
"""Mark of a value by its state."""

LEGEND = {
    "stale": "of an earlier version of the method or the plan; `simdnn bench run` measures it again",
    "dirty": "from a working tree with changes, so that it cannot be made again exactly",
}

MISSING = "\N{EN DASH}"
"""Marks a missing value; the notes have the reason."""


def cell_text(table: Table, head: str, cell: Cell) -> str:
    """Format one cell: shares in per cent, areas with three digits, the paper's value in brackets.

    >>> from simdnn.evaluation.tables import Table
    >>> table = Table("t", "", "", "eq_14", ("clean",), ())
    >>> cell_text(table, "clean", Cell(0.9444, 0.91, 0.97, 250, paper=0.899))
    '94.4 [89.9]'
    """
    paper = "" if cell.paper is None else f" [{100 * cell.paper:.1f}]"
    if cell.value is None:
        return (MISSING if cell.error else "") + paper
    mark = MARKS[cell.state]
    if head == "cost":
        return f"{cell.value:.2f} x{mark}"
    return (f"{cell.value:.3f}" if table.metric in AREAS else f"{100 * cell.value:.1f}") + mark + paper


def interval(table: Table, cell: Cell) -> str:
    """Format a cell's interval and number of images, or the reason why its value is missing."""
    if cell.error:
        return cell.error
    if cell.low is None or cell.high is None:
        return ""
    low, high = (f"{v:.3f}" if table.metric in AREAS else f"{100 * v:.1f}" for v in (cell.low, cell.high))
    return f"{low} to {high}, n = {cell.n}"


def missing_values(table: Table) -> list[str]:
    """List the reasons why cells have no value, each reason once."""
    where: dict[str, list[str]] = {}
    for label, cells in table.rows:
        for head, cell in zip(table.columns, cells, strict=True):
            if cell.error and cell.error != "incomplete":
                where.setdefault(cell.error, []).append(f"{label}: {head}")
    return [
        f"{reason} ({len(cells)} cells, the first {cells[0]})" if len(cells) > 1 else f"{reason} ({cells[0]})"
        for reason, cells in where.items()
    ]


def marks(table: Table) -> list[str]:
    """List the marks that the cells bear, with what they mean."""
    states = {cell.state for _, cells in table.rows for cell in cells if cell.value is not None}
    return [f"{MARKS[state]} {meaning}" for state, meaning in LEGEND.items() if state in states]


def sample_sizes(table: Table) -> str:
    """Return the number of images behind the cells, as a range."""
    n = sorted({cell.n for _, cells in table.rows for cell in cells if cell.n})
    return (
        f"n = {n[0]}"
        if len(n) == 1
        else f"n = {n[0]} to {n[-1]} images per cell"
        if n
        else "nothing measured"
    )


def markdown(table: Table) -> str:
    """Render a table in Markdown."""
    lines = [f"### {table.title}", "", f"{_sentence(table)}", ""]
    lines.append("| " + " | ".join(["", *table.columns]) + " |")
    lines.append("|" + "---|" * (len(table.columns) + 1))
    for label, cells in table.rows:
        values = (cell_text(table, head, cell) for head, cell in zip(table.columns, cells, strict=True))
        lines.append("| " + " | ".join([label, *values]) + " |")
    notes = [*table.notes, *marks(table), *missing_values(table)]
    return "\n".join(lines + ([""] + [f"- {note}" for note in notes] if notes else [])) + "\n"


def latex(table: Table) -> str:
    """Render a table in LaTeX, for the package booktabs."""
    lines = [
        r"\begin{table}",
        rf"\caption{{{_escaped('. '.join([table.title, _sentence(table), *marks(table)]))}}}",
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
        " & ".join(["", *map(_escaped, table.columns)]) + r" \\",
        r"\midrule",
    ]
    for label, cells in table.rows:
        values = [
            _escaped(cell_text(table, head, cell)) for head, cell in zip(table.columns, cells, strict=True)
        ]
        lines.append(" & ".join([_escaped(label), *values]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"


def comma_separated(table: Table) -> str:
    """Render a table as CSV, one line per cell, with its interval, n, the paper's value and the error."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "column", "metric", "value", "low", "high", "n", "paper", "error", "state"])
    for label, cells in table.rows:
        for head, c in zip(table.columns, cells, strict=True):
            numbers = ["" if v is None else f"{v:.6g}" for v in (c.value, c.low, c.high)]
            paper = "" if c.paper is None else f"{c.paper:.6g}"
            writer.writerow([label, head, table.metric, *numbers, c.n or "", paper, c.error, c.state])
    return text.getvalue()


RENDERERS: Mapping[str, Callable[[Table], str]] = {"md": markdown, "tex": latex, "csv": comma_separated}
"""Renderers by the suffix of the file."""


def _sentence(table: Table) -> str:
    unit = "" if table.metric in AREAS else ", in per cent"
    return f"{table.caption[0].upper()}{table.caption[1:]}{unit}; {sample_sizes(table)}." + (
        " In brackets: the value that the paper reports."
        if any(c.paper is not None for _, r in table.rows for c in r)
        else ""
    )


def _escaped(text: str) -> str:
    for special in ("\\", "&", "%", "_", "#", "$", "{", "}"):
        text = text.replace(special, r"\textbackslash{}" if special == "\\" else "\\" + special)
    return text.replace(MISSING, "--")
