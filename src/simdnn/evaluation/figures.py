"""Draw figures from records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from simdnn.evaluation.freshness import last_of_each_cell
from simdnn.evaluation.plan import Plan
from simdnn.evaluation.records import Record
from simdnn.evaluation.tables import Table, file_name
from simdnn.evaluation.written import write_readable

SIMILARITY = "sim-dnn similarity"


def draw_figures(plan: Plan, records: Iterable[Record], made: Sequence[Table], folder: Path) -> list[Path]:
    """Draw a plan's records as PNG files; return their paths.

    For each network there are a heat map of methods and columns, ROC curves for each attack, and the paper's Fig. 4,
    the similarity as a function of FGSM's eps.
    """
    scored = [record for record in last_of_each_cell(records) if "scores" in record]
    written = []
    for table in made:
        measured = any(cell.n for _, cells in table.rows for cell in cells)
        if plan.layout == "methods" and table.metric == "auroc" and measured:
            written.append(_save(heat_map(table), folder / f"{table.name}-heat.png"))
    for network in dict.fromkeys(record["network"] for record in scored):
        of_network = [record for record in scored if record["network"] == network]
        name = file_name(f"{plan.name}-{network}")
        if plan.layout == "methods":
            written.append(_save(roc_curves(plan, of_network), folder / f"{name}-roc.png"))
        similarity = [
            r for r in of_network if r["method"] == SIMILARITY and r["form"] == "8-bit" and not r["through"]
        ]
        if any(record["parameters"].get("attack") == "fgsm" for record in similarity):
            written.append(_save(similarity_by_strength(similarity), folder / f"{name}-similarity.png"))
    return written


def heat_map(table: Table) -> Figure:
    """Draw the AUROC of every method on every attack; 0.5 is chance."""
    heads = [head for head in table.columns if head not in ("cost", "clean")]
    keep = [table.columns.index(head) for head in heads]
    labels = [label for label, cells in table.rows if any(cell.n for cell in cells)]
    values = np.array(
        [
            [np.nan if cells[i].value is None else cells[i].value for i in keep]
            for label, cells in table.rows
            if label in labels
        ],
        dtype=np.float64,
    )
    figure = Figure(figsize=(1.5 + 0.62 * len(heads), 1.8 + 0.34 * len(labels)), layout="constrained")
    axes = figure.subplots()
    drawn = axes.imshow(values, cmap="RdYlGn", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(heads)), heads, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), labels)
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=8)
    axes.set_title(table.title, loc="left", fontsize=10)
    figure.colorbar(drawn, label="AUROC")
    return figure


def roc_curves(plan: Plan, records: Sequence[Record]) -> Figure:
    """Draw the ROC curve of each method, for each attack column."""
    clean = {record["method"]: record["scores"] for record in records if record["kind"] == "clean"}
    columns = [c for c in plan.columns if c.kind == "attack" and not c.through]
    across = min(4, max(1, len(columns)))
    down = max(1, -(-len(columns) // across))
    figure = Figure(figsize=(3.1 * across, 2.9 * down + 0.9), layout="constrained")
    axes = np.ravel(figure.subplots(down, across, sharex=True, sharey=True, squeeze=False))
    styles = {
        m: (f"C{i % 10}", "-" if "sim-dnn" in m else ("--", ":")[i // 10 % 2]) for i, m in enumerate(clean)
    }
    for plot, column in zip(axes, columns, strict=False):
        for r in records:
            if (
                (r["column"], r["form"], r["through"]) != (column.label, column.form, column.through)
                or not r["scores"]
                or r["method"] not in clean
            ):
                continue
            negatives, positives = clean[r["method"]], r["scores"]
            false, true, _ = roc_curve(
                np.repeat([0, 1], [len(negatives), len(positives)]), -np.array([*negatives, *positives])
            )
            colour, line = styles[r["method"]]
            plot.plot(false, true, color=colour, linestyle=line, linewidth=1.3)
        plot.set_title(f"{column.label}, {column.form}", fontsize=9)
        plot.plot([0, 1], [0, 1], color="0.8", linewidth=0.8)
    for plot in axes[len(columns) :]:
        plot.set_axis_off()
    figure.supxlabel("false-positive rate, clean images", fontsize=9)
    figure.supylabel("true-positive rate, attacked images", fontsize=9)
    handles = [
        axes[0].plot([], [], color=colour, linestyle=line, label=method)[0]
        for method, (colour, line) in styles.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(5, len(handles) or 1), fontsize=8)
    return figure


def similarity_by_strength(records: Sequence[Record]) -> Figure:
    """Draw the distribution of the similarity of eq. (10) for each eps of FGSM: the paper's Fig. 4."""
    groups = {
        float(record["parameters"].get("eps", 0.0)): record["scores"]
        for record in records
        if record["kind"] == "clean" or record["parameters"].get("attack") == "fgsm"
    }
    strengths = sorted(eps for eps, scores in groups.items() if scores)
    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.violinplot([groups[eps] for eps in strengths], showmedians=True, widths=0.8)
    axes.set_xticks(range(1, len(strengths) + 1), ["clean" if eps == 0 else f"{eps:g}" for eps in strengths])
    axes.set_xlabel("strength of FGSM, eps")
    axes.set_ylabel("similarity to the nearest prototype, eq. (10)")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _save(figure: Figure, path: Path) -> Path:
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=130)
    write_readable(path, drawn.getvalue())
    return path
