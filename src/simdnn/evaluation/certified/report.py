"""The certified rates of a guard as a record, a table and a figure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from simdnn.evaluation.certified.summary import ALPHAS
from simdnn.evaluation.provenance import provenance

INK = "#333333"
COLOURS = ("#2b7a4b", "#31688e", "#b3261e")


def write_certified(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write ``certified.json``, ``certified.md``, ``certified.png`` and ``certified.svg``; return their paths."""
    record, table = folder / "certified.json", folder / "certified.md"
    record.write_text(json.dumps({**found, "provenance": provenance()}, indent=1) + "\n", encoding="utf-8")
    table.write_text(certified_table(found), encoding="utf-8")
    figure = certified_figure(found)
    drawn = [folder / f"certified{suffix}" for suffix in (".png", ".svg")]
    for path in drawn:
        figure.savefig(path, dpi=130)
    return [record, table, *drawn]


def certified_table(found: Mapping[str, Any]) -> str:
    """Write each rule's rates at the usual false-alarm rates as Markdown."""
    radii = " | ".join(f"certified at L2 {radius:g}" for radius in found["radii"])
    lines = [
        f"| rule | false alarms promised | flagged, of {found['images']} clean | {radii} |",
        "|---" * (3 + len(found["radii"])) + "|",
    ]
    for rule, rows in found["rules"].items():
        for row in rows:
            if row["alpha"] in ALPHAS:
                cells = " | ".join(_percent(cell) for cell in row["certified"])
                alarms = f"{100 * row['alpha']:.0f} % | {_percent(row['false_alarms'])}"
                lines.append(f"| `{rule}` | {alarms} | {cells} |")
    return "\n".join(lines) + "\n"


def certified_figure(found: Mapping[str, Any]) -> Figure:
    """Draw certified detection over false alarms for each rule, a curve a radius, with its 95 % interval."""
    rules = found["rules"]
    figure = Figure(figsize=(5.2 * len(rules) + 1, 4.2), layout="constrained")
    every = figure.subplots(1, len(rules), sharey=True, squeeze=False)[0]
    for axes, (rule, rows) in zip(every, rules.items(), strict=True):
        alarms = [100 * row["alpha"] for row in rows]
        for i, (radius, colour) in enumerate(zip(found["radii"], COLOURS, strict=True)):
            value, low, high = (
                [100 * row["certified"][i][name] for row in rows] for name in ("value", "low", "high")
            )
            axes.fill_between(alarms, low, high, color=colour, alpha=0.15, linewidth=0, step="mid")
            axes.plot(alarms, value, color=colour, drawstyle="steps-mid", label=f"L2 {radius:g}")
        axes.set_title(rule, color=INK)
        axes.set_xlabel("false alarms promised, % of clean images", color=INK)
        axes.set_ylim(0, 100)
        axes.spines[["top", "right"]].set_visible(False)
    every[0].set_ylabel("images that no attack of that size\nbrings past the guard, %", color=INK)
    every[0].legend(frameon=False, title="no attack up to")
    return figure


def _percent(estimate: Mapping[str, float]) -> str:
    return f"{100 * estimate['value']:.0f} % ({100 * estimate['low']:.0f} to {100 * estimate['high']:.0f})"
