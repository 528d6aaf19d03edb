"""Pictures of explanations, in the manner of Fig. 5 of the paper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from simdnn.errors import InputError
from simdnn.guard.explain import Explanation

CLEAN, ATTACK, INK = "#2b7a4b", "#b3261e", "#333333"


def draw_explanation(explanation: Explanation, path: Path) -> None:
    """Draw the image, its nearest prototypes, and its score among those of clean images."""
    figure = Figure(figsize=(10, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    columns = 1 + len(explanation.exemplars)
    grid = figure.add_gridspec(2, columns, height_ratios=[3, 2])
    _draw_image(figure.add_subplot(grid[0, 0]), explanation)
    shown = zip(explanation.verdict.evidence, explanation.exemplars, strict=True)
    for column, (neighbour, exemplar) in enumerate(shown, start=1):
        axes = figure.add_subplot(grid[0, column])
        axes.imshow(exemplar.picture)
        axes.set_title(f"{neighbour.prototype}\nsimilarity {neighbour.similarity:.3f}", fontsize=9, color=INK)
        axes.set_axis_off()
    _draw_scores(figure.add_subplot(grid[1, :]), explanation)
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot draw to {path}: {error}") from error


def _draw_image(axes: Axes, explanation: Explanation) -> None:
    verdict = explanation.verdict
    colour = ATTACK if verdict.verdict == "attack" else CLEAN
    heading = "possible attack" if verdict.verdict == "attack" else f"clean: {verdict.label}"
    axes.imshow(explanation.image)
    axes.set_title(
        f"{heading}\nclassifier: {verdict.classifier_label}", fontsize=9, color=colour, weight="bold"
    )
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=3)


def _draw_scores(axes: Axes, explanation: Explanation) -> None:
    verdict, scores = explanation.verdict, explanation.calibration_scores
    if verdict.score is None or verdict.threshold is None:
        raise InputError(f"{verdict.path} has no score to draw: {verdict.error}")
    bins = np.linspace(min(scores[0], verdict.score), max(scores[-1], verdict.score), 60)
    axes.hist(scores, bins=list(bins), color="#9db4c0", label=f"{len(scores)} clean calibration images")
    axes.axvline(verdict.threshold, color=INK, linestyle="--", label=f"threshold {verdict.threshold:.4g}")
    p_value = "" if verdict.p_value is None else f", p = {verdict.p_value:.3g}"
    colour = ATTACK if verdict.verdict == "attack" else CLEAN
    axes.axvline(verdict.score, color=colour, linewidth=2.5, label=f"this image {verdict.score:.4g}{p_value}")
    axes.set_xlabel(
        f"score of the rule '{verdict.rule}'; below the threshold is a possible attack", color=INK
    )
    axes.set_ylabel("images", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
