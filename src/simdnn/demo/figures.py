"""Figures of the demonstration's report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from simdnn.evaluation.inline_svg import draw_scores

CLEAN, OTHER = "#020202", "#030303"
"""Placeholders that are replaced by colours of the page."""


def score_histogram(
    clean: Sequence[float], other: Sequence[float], threshold: float, limits: tuple[float, float]
) -> Markup:
    """Draw histograms of clean and other images' scores, with the threshold, as inline SVG in the page's colours."""

    def histograms(axes: Axes) -> None:
        bins = list(np.linspace(*limits, 40))
        axes.hist(clean, bins=bins, color=CLEAN, alpha=0.55)
        axes.hist(other, bins=bins, color=OTHER, histtype="step", linewidth=1.8)
        axes.set_ylim(top=1.2 * axes.get_ylim()[1])

    return draw_scores(
        histograms,
        threshold,
        size=(4.2, 2.4),
        unit="images",
        named_left=True,
        variables={CLEAN: "--clean", OTHER: "--other"},
    )
