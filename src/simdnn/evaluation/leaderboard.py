"""The leaderboard: one HTML page from the records, sorted and filtered in the browser, without a server."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from simdnn.evaluation.metrics import METRICS
from simdnn.evaluation.names import DEFENCES
from simdnn.evaluation.tables import STATES, state_of
from simdnn.evaluation.tidy import Measured
from simdnn.evaluation.written import write_readable

SHOWN = ("auroc", "tpr_at_1", "tpr_at_5", "flagged", "eq_14")
"""Metrics that the page offers, the first by default."""

LEFT_OUT = ("scores", "per_class", "note")
"""Values of a record that the page leaves out for their size."""


def write_leaderboard(measured: Measured, folder: Path) -> Path:
    """Write ``leaderboard.html``: detectors by their metrics on attacked images, each cell with its record.

    A cell that several plans have measured is the one in the best state, and of these the latest.

    Parameters
    ----------
    measured : plans with their records
    folder : where to write

    Returns
    -------
    Path of the page.
    """
    cells: dict[tuple[str, ...], dict[str, Any]] = {}
    for plan, records in measured:
        for record in records:
            if record["method"] in ("none", *DEFENCES) or record["through"] or "error" in record:
                continue
            cell = {name: value for name, value in record.items() if name not in LEFT_OUT}
            cell["metrics"] = {name: record["metrics"][name] for name in SHOWN if name in record["metrics"]}
            cell |= {"state": state_of(plan, record), "version": record.get("version", 1)}
            place = tuple(cell[name] for name in ("network", "dataset", "column", "form", "method"))
            if place not in cells or _worth(cell) >= _worth(cells[place]):
                cells[place] = cell
    count = Counter(f"{cell['network']}, {cell['dataset']}" for cell in cells.values())
    environment = Environment(
        loader=PackageLoader("simdnn.evaluation"), autoescape=True, undefined=StrictUndefined
    )
    page = folder / "leaderboard.html"
    template = environment.get_template("leaderboard.html.j2")
    write_readable(
        page,
        template.render(
            metrics={name: METRICS[name] for name in SHOWN},
            networks=[name for name, _ in count.most_common()],
            cells=_embedded(list(cells.values())),
        ),
    )
    return page


def _worth(cell: dict[str, Any]) -> tuple[int, str]:
    return -STATES.index(cell["state"]), cell["time"]


def _embedded(data: object) -> Markup:
    """Return JSON that may stand in a script element: nothing in it ends the element."""
    return Markup(json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"))
