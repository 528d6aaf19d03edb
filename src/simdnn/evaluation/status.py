"""Which cells of a plan have a record of the code, the data and the weights as they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simdnn.evaluation.freshness import describe, is_dirty, last_of_each_cell, outdated, place_of
from simdnn.evaluation.plan import Plan
from simdnn.evaluation.records import Record, Records
from simdnn.evaluation.tested_network import Folders, ProgressBars, TestedNetwork, reason

STATES = ("current", "stale", "dirty", "missing", "broken")
"""A record of everything as it is; of other code, data or weights; from a working tree with changes; none; an error."""


@dataclass(frozen=True)
class CellStatus:
    """A cell, its state, one of `STATES`, and why it is in that state.

    Attributes
    ----------
    table, network, column, form, through, method : which cell
    state, reason : the state; the reason is empty for a current or missing cell
    """

    table: str
    network: str
    column: str
    form: str
    through: str
    method: str
    state: str
    reason: str = ""


def statuses(plan: Plan, records: Records, folders: Folders, bars: ProgressBars) -> Iterator[CellStatus]:
    """Yield the status of every cell of a plan.

    Data and weights, those of an auxiliary network and of a defence too, are compared where they are at hand; else a
    record is compared with the plan and the code alone.

    Parameters
    ----------
    plan, records : the plan and its records
    folders, bars : as for :func:`simdnn.evaluation.run.run`
    """
    by_cell = {place_of(record): record for record in last_of_each_cell(records)}
    cells = [(column, method) for column in plan.columns for method in plan.methods]
    for network in plan.networks:
        try:
            with (
                bars(f"{network.row}: data and weights"),
                TestedNetwork(plan, network, folders, bars) as tested,
            ):
                found = [
                    (tested.key(column, method), tested.absent(column, method)) for column, method in cells
                ]
        except Exception as error:  # as in a run: whatever keeps a network from being measured
            found = [("", reason(error))] * len(cells)
        for (column, method), (key, absent) in zip(cells, found, strict=True):
            described = describe(plan, network, column, method)
            record = by_cell.get(place_of(described), {})
            yield _status(described, *_state(record, described, key, absent))


def _state(record: Record, described: Record, key: str, absent: str) -> tuple[str, str]:
    """Return the state and its reason; ``absent`` says why the key cannot be compared, if it cannot."""
    if not record:
        return "missing", absent
    if "error" in record:
        return "broken", record["error"]
    if changed := outdated(record, described):
        return "stale", changed
    if not absent and record["key"] != key:
        return "stale", "other images, weights, preprocessing or numbers of images"
    if is_dirty(record):
        return "dirty", f"commit {record['commit']}"
    return "current", f"not compared with data and weights: {absent}" if absent else ""


def _status(described: Record, state: str, why: str) -> CellStatus:
    place = {name: described[name] for name in ("table", "network", "column", "form", "through", "method")}
    return CellStatus(**place, state=state, reason=why)
