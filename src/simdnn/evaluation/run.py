"""Measuring the cells of a plan that are not measured yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from simdnn.evaluation.methods import Images
from simdnn.evaluation.plan import Column, NetworkPlan, Plan
from simdnn.evaluation.provenance import provenance
from simdnn.evaluation.records import Record, Records, cell_key
from simdnn.evaluation.subject import Bars, Places, Subject, reason

Wanted = Callable[[Mapping[str, str]], bool]
"""Whether a cell, named by its network, column, form and method, is to be measured."""


def run(
    plan: Plan,
    records: Records,
    places: Places,
    bars: Bars,
    say: Callable[[str], None],
    *,
    wanted: Wanted = lambda _: True,
    again: bool = False,
) -> None:
    """Measure every cell that is wanted and has no record; a cell that breaks is recorded with its reason.

    Parameters
    ----------
    plan : what to measure
    records : where each cell's record goes as soon as it is there
    places : folders
    bars, say : show progress, and a line for each cell
    wanted : which cells to look at
    again : measure also what has a record
    """
    for network in plan.networks:
        names = [(c, m) for c in plan.columns for m in plan.methods if wanted(_names(network, c, m))]
        if not names:
            continue
        try:
            subject = Subject(plan, network, places, bars)
        except Exception as error:
            for column, method in names:
                record = _facts(plan, network, column, method) | {"error": reason(error)}
                records.add(record | {"key": cell_key(record)} | _origin())
            say(f"{network.row}: {reason(error)}")
            continue
        with subject:
            for column in plan.columns:
                methods = [method for c, method in names if c is column]
                missing = [m for m in methods if again or not records.has(subject.key(column, m))]
                if missing:
                    _column(subject, column, missing, records, bars, say)


def _column(
    subject: Subject,
    column: Column,
    methods: Iterable[str],
    records: Records,
    bars: Bars,
    say: Callable[[str], None],
) -> None:
    """Measure some cells of one column."""
    title = f"{subject.network.row}, {column.label} {column.form if column.kind == 'attack' else ''}".rstrip()
    images: Images | None = None
    broken = ""
    try:
        with bars(title) as progress:
            group = subject.columns.make(column, progress).spread(subject.plan.images)
        images = Images(subject.backbone, group.pixels)
    except Exception as error:  # a broken attack breaks the whole column, but no other
        broken = reason(error)
    for method in methods:
        start = time.perf_counter()
        record: Record = {"key": subject.key(column, method)}
        record |= _facts(subject.plan, subject.network, column, method) | subject.identity
        try:
            if images is None:
                record["error"] = broken
            else:
                with bars(f"{title}: {method}"):
                    record |= subject.cell(column, method, group, images)
        except Exception as error:  # a broken cell is a result, too, and must not stop the others
            record["error"] = reason(error)
        record["seconds"] = round(time.perf_counter() - start, 2)
        records.add(record | _origin())
        say(f"{title}: {method}: {_told(record)}")


def _names(network: NetworkPlan, column: Column, method: str) -> dict[str, str]:
    return {"network": network.row, "column": column.label, "form": column.form, "method": method}


def _facts(plan: Plan, network: NetworkPlan, column: Column, method: str) -> Record:
    return {
        "table": plan.name,
        "dataset": network.dataset,
        "network": network.row,
        "backbone": network.backbone,
        "column": column.label,
        "kind": column.kind,
        "form": column.form,
        "through": column.through,
        "samples": column.samples,
        "parameters": column.parameters,
        "method": method,
        "seed": plan.seed,
        "alpha": plan.alpha,
        "note": network.note,
    }


def _origin() -> Record:
    return {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())} | _source()


@cache
def _source() -> Record:
    """Provenance, the same for all cells of a run."""
    return provenance()


def _told(record: Record) -> str:
    if "error" in record:
        return f"broken: {record['error']}"
    metrics = record["metrics"]
    shown = [
        f"{name} {metrics[name]['value']:.3f}"
        for name in ("accuracy", "eq_14", "auroc", "flagged")
        if name in metrics
    ]
    return ", ".join(shown)
