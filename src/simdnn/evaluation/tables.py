"""Make tables from records: rows, columns and cells, independent of the output format."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from simdnn.evaluation.freshness import describe, is_dirty, last_of_each_cell, outdated, place_of
from simdnn.evaluation.metrics import METRICS
from simdnn.evaluation.paper_tables import paper_cell
from simdnn.evaluation.plan import Column, NetworkPlan, Plan
from simdnn.evaluation.records import Record

STATES = ("", "dirty", "stale")
"""States of a value, from best to worst: of the code as it is; from a working tree with changes; of other code."""

AREAS = ("auroc", "auroc_all", "aupr")
"""Metrics that are printed with three digits; the others are printed in per cent."""


@dataclass(frozen=True)
class Cell:
    """One value with its 95 % interval.

    Attributes
    ----------
    value, low, high : value and interval, in [0, 1]; None if missing
    n : number of images
    paper : the value that the paper reports, in [0, 1], or None
    error : reason why the value is missing
    state : one of `STATES`
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    paper: float | None = None
    error: str = ""
    state: str = ""


@dataclass(frozen=True)
class Table:
    """One metric over rows and columns.

    Attributes
    ----------
    name, title, caption : the name is also that of its files
    metric : one of :data:`simdnn.evaluation.metrics.METRICS`
    columns : labels of the columns
    rows : label and cells of each row
    notes : printed below
    """

    name: str
    title: str
    caption: str
    metric: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    notes: tuple[str, ...] = ()


def tables(plan: Plan, records: Iterable[Record]) -> list[Table]:
    """Return the tables of a plan: one per metric, or one per metric and measured network if the rows are methods."""
    by_cell = {place_of(record): record for record in last_of_each_cell(records)}
    result = []
    for metric in plan.metrics:
        if plan.layout == "networks":
            result.append(_by_network(plan, metric, by_cell))
        else:
            measured = {row for row, *_ in by_cell}
            result += [_by_method(plan, metric, n, by_cell) for n in plan.networks if n.row in measured]
    return result


def state_of(plan: Plan, record: Record) -> str:
    """Return the state, one of `STATES`, of the record of a cell; of one that the plan no longer has, ``"stale"``."""
    place = tuple(record[name] for name in ("network", "column", "form", "through"))
    for network in plan.networks:
        for column in plan.columns:
            if place == (network.row, column.label, column.form, column.through):
                stale = outdated(record, describe(plan, network, column, record["method"]))
                return "stale" if stale else "dirty" if is_dirty(record) else ""
    return "stale"


def file_name(text: str) -> str:
    """Return a file name for a title.

    >>> file_name("table4-ResNet (cifar10)-auroc")
    'table4-ResNet_cifar10-auroc'
    """
    return re.sub(r"[^\w.-]+", "_", text.replace(")", "")).strip("_")


RecordsByCell = Mapping[tuple[str, ...], Record]
"""Records by their places, see :func:`simdnn.evaluation.freshness.place_of`."""


def _by_network(plan: Plan, metric: str, by_cell: RecordsByCell) -> Table:
    rows = []
    for method in plan.methods:
        for network in plan.networks:
            cells = tuple(
                _cell(
                    plan,
                    by_cell.get(_place(network, method, column)),
                    metric,
                    None if method.startswith("sim-dnn") else _paper_value(plan, network.row, column),
                )
                for column in plan.columns
            )
            name = (
                network.row if f"({network.dataset})" in network.row else f"{network.row} ({network.dataset})"
            )
            rows.append((name if method == "none" else f"{name}, {method}", cells))
    if plan.paper:
        ours = [_paper_value(plan, "Ours", column) for column in plan.columns]
        cells = tuple(Cell() if share is None else Cell(paper=share / 100) for share in ours)
        rows.append(("the paper's Sim-DNN", cells))
    return Table(
        plan.name, plan.title, METRICS[metric], metric, _heads(plan, metric), tuple(rows), _notes(plan)
    )


def _paper_value(plan: Plan, row: str, column: Column) -> float | None:
    """Return the paper's value for a network, by its row before any bracket; None for attacks through defences."""
    return None if column.through else paper_cell(plan.paper, row.partition(" (")[0], column.label)


def _by_method(plan: Plan, metric: str, network: NetworkPlan, by_cell: RecordsByCell) -> Table:
    rows = []
    attacks = [i for i, column in enumerate(plan.columns) if column.kind == "attack"]
    for method in plan.methods:
        cells = [
            _cell(plan, by_cell.get(_place(network, method, column)), metric, None) for column in plan.columns
        ]
        first = by_cell.get(_place(network, method, plan.columns[0]), {})
        cost = Cell(first.get("cost", {}).get("ratio"), state=cells[0].state)
        rows.append((method, (*_summary([cells[i] for i in attacks]), cost, *cells)))
    return Table(
        file_name(f"{plan.name}-{network.row}-{metric}"),
        f"{plan.title}: {network.row}",
        METRICS[metric],
        metric,
        ("mean of attacks", "worst attack", "cost", *_heads(plan, metric)),
        tuple(rows),
        _notes(plan),
    )


def _summary(attacks: list[Cell]) -> tuple[Cell, Cell]:
    """Return mean and worst value over the attack columns; no value if one of them is missing."""
    if any(cell.error for cell in attacks):
        return Cell(error="incomplete"), Cell(error="incomplete")
    values = [cell.value for cell in attacks if cell.value is not None]
    state = max((cell.state for cell in attacks), key=STATES.index, default="")
    return (Cell(fmean(values), state=state), Cell(min(values), state=state)) if values else (Cell(), Cell())


def _place(network: NetworkPlan, method: str, column: Column) -> tuple[str, ...]:
    """Return the place of a plan's cell, as :func:`simdnn.evaluation.freshness.place_of` has it."""
    return network.row, column.label, column.form, column.through, method


def _cell(plan: Plan, record: Record | None, metric: str, paper: float | None) -> Cell:
    share = None if paper is None else paper / 100
    if record is None:
        return Cell(paper=share, error="not measured")
    if "error" in record:
        return Cell(paper=share, error=record["error"])
    value = record["metrics"].get(metric)
    if value is None:
        return Cell(paper=share)
    return Cell(value["value"], value["low"], value["high"], value["n"], share, state=state_of(plan, record))


def _heads(plan: Plan, metric: str) -> tuple[str, ...]:
    several = len({column.form for column in plan.columns if column.kind == "attack"}) > 1
    return tuple(
        ("clean false-alarm rate" if metric == "flagged" and column.kind == "clean" else column.label)
        + (f", {column.form}" if several and column.kind == "attack" else "")
        + (f", through {column.through}" if column.through else "")
        for column in plan.columns
    )


def _notes(plan: Plan) -> tuple[str, ...]:
    rows_by_note: dict[str, list[str]] = {}
    for network in plan.networks:
        rows_by_note.setdefault(network.note, []).append(network.row)
    network_notes = [f"{', '.join(rows)}: {note}" for note, rows in rows_by_note.items() if note]
    return tuple(filter(None, [plan.note, *network_notes]))
