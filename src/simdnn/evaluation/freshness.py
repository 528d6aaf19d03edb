"""Whether a record still says what its plan and today's code would measure."""

from __future__ import annotations

from collections.abc import Iterable

from simdnn.evaluation.baselines.detector import find_detector
from simdnn.evaluation.names import DEFENCES
from simdnn.evaluation.plan import Column, NetworkPlan, Plan
from simdnn.evaluation.provenance import WITH_CHANGES
from simdnn.evaluation.records import Record
from simdnn.rules.registry import find_rule

DECIDING = ("backbone", "kind", "form", "through", "samples", "parameters", "seed", "alpha", "version")
"""Values of a description that decide what is measured; the others are for readers."""


def describe(plan: Plan, network: NetworkPlan, column: Column, method: str) -> Record:
    """Return what a cell is, without a look at data and weights."""
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
        "version": method_version(method),
        "seed": plan.seed,
        "alpha": plan.alpha,
        "note": network.note,
    }


def method_version(method: str) -> int:
    """Return the version of a method's code: that of its rule, or the attribute ``version`` of a detector, else 1."""
    if method == "none" or method in DEFENCES:
        return 1
    family, _, rule = method.partition(" ")
    if family == "sim-dnn":
        return find_rule(rule.partition(" ")[0]).version
    return int(getattr(find_detector(method), "version", 1))


def last_of_each_cell(records: Iterable[Record]) -> list[Record]:
    """Return of each cell the record that counts: the last one with a value, else the last error."""
    measured_last = sorted(records, key=lambda record: "error" not in record)
    return list({place_of(record): record for record in measured_last}.values())


def place_of(record: Record) -> tuple[str, ...]:
    """Return which cell of its plan a record, or a description, is of."""
    return tuple(record[name] for name in ("network", "column", "form", "through", "method"))


def outdated(record: Record, described: Record) -> str:
    """Return what has changed since a record was made; empty if nothing has.

    Parameters
    ----------
    record : of a cell
    described : the same cell, as :func:`describe` has it now
    """
    earlier = {"version": 1} | record
    changed = [name for name in DECIDING if earlier.get(name) != described[name]]
    return "; ".join(f"{name} was {earlier.get(name)}, is {described[name]}" for name in changed)


def is_dirty(record: Record) -> bool:
    """Return whether a record was made from a working tree with changes, so that it cannot be made again."""
    return str(record.get("commit")).endswith(WITH_CHANGES)
