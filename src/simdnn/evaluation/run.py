"""Run a plan: measure its cells that have no record of the code, the data and the weights as they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from simdnn.attacks.registry import make_attack
from simdnn.evaluation.freshness import describe, is_dirty, last_of_each_cell, place_of
from simdnn.evaluation.method_setup import TestImages
from simdnn.evaluation.methods import find_method
from simdnn.evaluation.plan import Column, NetworkPlan, Plan
from simdnn.evaluation.provenance import provenance
from simdnn.evaluation.records import Record, Records, cell_key
from simdnn.evaluation.tested_network import Folders, ProgressBars, TestedNetwork, reason

CellFilter = Callable[[Mapping[str, str]], bool]
"""Returns whether a cell, given by its network, column, form and method, is to be measured."""

Log = Callable[[str], None]
"""Called with one line of text for each cell."""


def run(
    plan: Plan,
    records: Records,
    folders: Folders,
    bars: ProgressBars,
    log: Log,
    *,
    wanted: CellFilter = lambda _: True,
    again: bool = False,
) -> None:
    """Measure every wanted cell that has no record, or a stale one; if a cell fails, its error is recorded.

    Of a cell that was measured as it is now, and then otherwise, the earlier record is added once more, so that it is
    the last one, which counts.

    From a clean commit, records made from a working tree with changes are measured again as well.

    Parameters
    ----------
    plan : the plan
    records : the record of each cell is added as soon as it is measured
    folders : folders for stored files and with the weights of defences
    bars, log : show progress, and a line for each cell
    wanted : selects the cells to measure
    again : whether cells with a record are measured again

    Raises
    ------
    InputError
        Before any measurement, if a parameter of an attack is outside its range, or a detector cannot be imported.
    """
    _check(plan)
    for network in plan.networks:
        cells = [(c, m) for c in plan.columns for m in plan.methods if wanted(_names(network, c, m))]
        if not cells:
            continue
        try:
            tested = TestedNetwork(plan, network, folders, bars)
        except Exception as error:
            for column, method in cells:
                record = describe(plan, network, column, method) | {"error": reason(error)}
                records.add(record | {"key": cell_key(record)} | _origin())
            log(f"{network.row}: {reason(error)}")
            continue
        with tested:
            for column in plan.columns:
                methods = [method for c, method in cells if c is column]
                missing = [m for m in methods if again or _is_missing(records, tested.key(column, m))]
                _make_last(records, [tested.key(column, m) for m in methods if m not in missing])
                if missing:
                    _measure_column(tested, column, missing, records, bars, log)


def _check(plan: Plan) -> None:
    """Make every attack and import every method, so that mistakes show before hours of work."""
    for column in plan.columns:
        if column.kind == "attack":
            make_attack(column.parameters)
    for method in plan.methods:
        find_method(method)


def _measure_column(
    tested: TestedNetwork,
    column: Column,
    methods: Iterable[str],
    records: Records,
    bars: ProgressBars,
    log: Log,
) -> None:
    """Measure some cells of one column."""
    title = f"{tested.network.row}, {column.label} {column.form if column.kind == 'attack' else ''}".rstrip()
    images: TestImages | None = None
    failure = ""
    try:
        with bars(title) as progress:
            column_images = tested.columns.make(column, progress).spread(tested.plan.images)
        images = TestImages(tested.backbone, column_images.pixels)
    except Exception as error:  # a failing attack fails the whole column, but no other
        failure = reason(error)
    for method in methods:
        start = time.perf_counter()
        record: Record = {"key": tested.key(column, method)}
        record |= describe(tested.plan, tested.network, column, method) | tested.identity_for(column, method)
        try:
            if images is None:
                record["error"] = failure
            else:
                with bars(f"{title}: {method}"):
                    record |= tested.cell(column, method, column_images, images)
        except Exception as error:  # an error is recorded and must not stop the other cells
            record["error"] = reason(error)
        record["seconds"] = round(time.perf_counter() - start, 2)
        records.add(record | _origin())
        log(f"{title}: {method}: {_summary(record)}")


def _names(network: NetworkPlan, column: Column, method: str) -> dict[str, str]:
    return {"network": network.row, "column": column.label, "form": column.form, "method": method}


def _is_missing(records: Records, key: str) -> bool:
    return not records.has(key) or (is_dirty(records.get(key)) and not is_dirty(_provenance()))


def _make_last(records: Records, keys: Iterable[str]) -> None:
    """Add the records of cells once more where later ones, of other data or weights, have taken their places."""
    last = {place_of(record): record["key"] for record in last_of_each_cell(records)}
    for record in map(records.get, keys):
        if last[place_of(record)] != record["key"]:
            records.add(record)


def _origin() -> Record:
    return {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())} | _provenance()


@cache
def _provenance() -> Record:
    """Return the provenance, which is the same for all cells of a run."""
    return provenance()


def _summary(record: Record) -> str:
    if "error" in record:
        return f"broken: {record['error']}"
    metrics = record["metrics"]
    shown = [
        f"{name} {metrics[name]['value']:.3f}"
        for name in ("accuracy", "eq_14", "auroc", "flagged")
        if name in metrics
    ]
    return ", ".join(shown)
