"""All records as one table: a line for each metric of each cell, with a dictionary of the columns."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from simdnn.evaluation.metrics import METRICS
from simdnn.evaluation.plan import Plan
from simdnn.evaluation.records import Record
from simdnn.evaluation.tables import state_of
from simdnn.evaluation.written import write_readable

COLUMNS: Mapping[str, str] = {
    "table": "plan that the cell belongs to",
    "dataset": "dataset of the test images",
    "network": "protected network, by its row in the table",
    "backbone": "architecture of the network",
    "column": "attack with its main parameter, harmless corruption, or clean",
    "kind": "attack, control (a harmless corruption) or clean",
    "form": "form of the attacked images: 8-bit, float, or JPEG 75",
    "through": "defence that the attack differentiates through; empty for an attack on the network alone",
    "samples": "draws of a random defence that such an attack averages over in each step",
    "parameters": "all parameters of the attack, as JSON",
    "method": "detector or defence; none for the network alone",
    "version": "version of the method's code",
    "alpha": "false-alarm rate that the detector's threshold is calibrated for",
    "seed": "seed of all random numbers",
    "metric": f"one of {', '.join(METRICS)}",
    "value": "the metric, in [0, 1]; empty if the cell failed",
    "low": "lower end of its 95 % interval",
    "high": "upper end of its 95 % interval",
    "n": "number of images that the metric is about",
    "error": "why the cell failed; empty if it did not",
    "state": "stale if measured with an earlier version of the method or the plan, dirty if from a working tree with "
    "changes; else empty",
    "seconds": "time that the cell took, attack not included",
    "time": "when it was measured, in UTC",
    "commit": "commit of the code",
    "key": "hash of all that determines the value; the same key is the same cell",
}
"""What each column holds."""

Measured = Sequence[tuple[Plan, Iterable[Record]]]
"""Plans with their records."""


def tidy_rows(measured: Measured) -> Iterator[dict[str, Any]]:
    """Yield a row for each metric of each cell, and one without a value for each cell that failed."""
    for plan, records in measured:
        for record in records:
            cell = {"version": 1} | record | {"state": state_of(plan, record)}
            cell |= {"parameters": json.dumps(record["parameters"], sort_keys=True)}
            metrics = {name: record.get("metrics", {}).get(name) for name in METRICS}
            values = [{"metric": name, **value} for name, value in metrics.items() if value is not None]
            for value in values or [{}]:
                row = cell | value
                yield {name: row.get(name, "") for name in COLUMNS}


def write_tidy(measured: Measured, folder: Path) -> None:
    """Write ``records.csv``, and ``records-columns.csv`` with what its columns hold, to a folder."""
    cells, columns = StringIO(), StringIO()
    writer = csv.DictWriter(cells, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(tidy_rows(measured))
    write_readable(folder / "records.csv", cells.getvalue())
    rows = csv.writer(columns, lineterminator="\n")
    rows.writerow(["column", "meaning"])
    rows.writerows(COLUMNS.items())
    write_readable(folder / "records-columns.csv", columns.getvalue())
