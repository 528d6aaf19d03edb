"""Pictures of explanations, in the manner of Fig. 5 of the paper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from simdnn.errors import InputError, OutputError
from simdnn.guard.explanation import Explanation

CLEAN, ATTACK, INK = "#2b7a4b", "#b3261e", "#333333"
SHARES = 5
"""Classes of the second opinion that are shown."""
LONGEST = 14
"""Characters of a class that are shown beside a bar."""
SUFFIXES = (".png", ".svg", ".pdf")


def draw_explanation(explanation: Explanation, path: Path) -> None:
    """Draw the image, its nearest prototypes, its score among those of clean images, and the second opinion.

    Raises
    ------
    InputError
        If the suffix is none of `SUFFIXES`.
    OutputError
        If the file cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"expected a file that ends in {', '.join(SUFFIXES)}; got {path.name}")
    figure = Figure(figsize=(10, 5.4), layout=ConstrainedLayoutEngine(h_pad=0.1, w_pad=0.08))
    FigureCanvasAgg(figure)
    columns = 1 + len(explanation.exemplars)
    grid = figure.add_gridspec(2, columns, height_ratios=[3, 2])
    _draw_image(figure.add_subplot(grid[0, 0]), explanation)
    shown = zip(explanation.verdict.evidence, explanation.exemplars, strict=True)
    for column, (neighbour, exemplar) in enumerate(shown, start=1):
        axes = figure.add_subplot(grid[0, column])
        axes.imshow(exemplar.picture)
        title = f"{neighbour.prototype}\nsimilarity {neighbour.similarity:.3f}"
        axes.set_title(title, fontsize=9, color=INK, parse_math=False)
        axes.set_axis_off()
    beside = [
        draw
        for draw, shown in ((_draw_deviations, explanation.deviations), (_draw_shares, explanation.shares))
        if shown
    ]
    below = grid[1, :].subgridspec(1, 1 + len(beside), width_ratios=[5 - len(beside), *(1.6 for _ in beside)])
    _draw_scores(figure.add_subplot(below[0]), explanation)
    for place, draw in enumerate(beside, start=1):
        draw(figure.add_subplot(below[place]), explanation)
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise OutputError(f"cannot draw to {path}: {error.strerror}") from error


def _draw_image(axes: Axes, explanation: Explanation) -> None:
    verdict = explanation.verdict
    colour = ATTACK if verdict.verdict == "attack" else CLEAN
    heading = "possible attack" if verdict.verdict == "attack" else f"clean: {verdict.label}"
    axes.imshow(explanation.image)
    title = f"{heading}\nclassifier: {verdict.classifier_label}"
    axes.set_title(title, fontsize=9, color=colour, weight="bold", parse_math=False)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=3)


def _draw_scores(axes: Axes, explanation: Explanation) -> None:
    verdict, scores = explanation.verdict, explanation.calibration_scores
    score, threshold = explanation.score_and_threshold
    bins = np.linspace(min(scores[0], score), max(scores[-1], score), 60)
    groups = [scores[~explanation.corrupted], scores[explanation.corrupted]]
    labels = [f"{len(groups[0])} calibration images", f"{len(groups[1])} corrupted copies"]
    shown = 1 + bool(len(groups[1]))
    colours = ["#9db4c0", "#d9c3a0"][:shown]
    axes.hist(groups[:shown], bins=list(bins), color=colours, label=labels[:shown], stacked=True)
    axes.axvline(threshold, color=INK, linestyle="--", label=f"threshold {threshold:.4g}")
    p_value = "" if verdict.p_value is None else f", p = {verdict.p_value:.3g}"
    if verdict.p_value_clean is not None and verdict.p_value_mixture is not None:
        p_value += f" (clean {verdict.p_value_clean:.2g}, with copies {verdict.p_value_mixture:.2g})"
    colour = ATTACK if verdict.verdict == "attack" else CLEAN
    axes.axvline(score, color=colour, linewidth=2.5, label=f"this image {score:.4g}{p_value}")
    axes.set_xlabel(
        f"score of the rule '{verdict.rule}'; below the threshold is a possible attack", color=INK
    )
    axes.set_ylabel("images", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))


def _draw_deviations(axes: Axes, explanation: Explanation) -> None:
    """Draw where the image disagreed with its views and the prototypes, against the range of clean images."""
    names, values = zip(*explanation.deviations.items(), strict=True)
    axes.axvspan(-2, 2, color="#dfe7ea", label="95 % of clean images")
    axes.barh(names, values, color=[ATTACK if value > 2 else CLEAN for value in values])
    axes.invert_yaxis()
    axes.set_xlabel("deviations of clean images;\nto the right: attack", color=INK, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1.0))


def _draw_shares(axes: Axes, explanation: Explanation) -> None:
    """Draw the classes that the auxiliary network gives most often, and what its certificate says."""
    verdict = explanation.verdict
    ordered = sorted(explanation.shares.items(), key=lambda item: -item[1])[:SHARES]
    given = verdict.opinion_class or ""
    if given not in dict(ordered):
        ordered[-1] = (given, explanation.shares[given])
    names, values = zip(*ordered, strict=True)
    axes.barh(range(len(names)), values, color=[CLEAN if name == given else "#9db4c0" for name in names])
    axes.set_yticks(
        range(len(names)),
        [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in names],
        fontsize=8,
        parse_math=False,
    )
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of noisy draws;\ngreen: the class that the network gives", color=INK, fontsize=8)
    if verdict.certified_radius is not None:
        axes.set_title(f"certified radius L2 {verdict.certified_radius:.2f}", fontsize=8, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
