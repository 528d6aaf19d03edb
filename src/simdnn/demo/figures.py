"""Figures of the demonstration's report."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, CLEAN, OTHER = "#010101", "#020202", "#030303"
"""Placeholders that are replaced by colours of the page, so that figures follow light and dark mode."""


def score_histogram(
    clean: Sequence[float], other: Sequence[float], threshold: float, limits: tuple[float, float]
) -> Markup:
    """Draw histograms of clean and other images' scores, with the threshold, as inline SVG in the page's colours."""
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "simdnn", "font.size": 11, "text.color": INK}
    ):
        figure = Figure(figsize=(4.2, 2.4), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        bins = list(np.linspace(*limits, 40))
        axes.hist(clean, bins=bins, color=CLEAN, alpha=0.55)
        axes.hist(other, bins=bins, color=OTHER, histtype="step", linewidth=1.8)
        axes.set_ylim(top=1.2 * axes.get_ylim()[1])  # room for the annotation of the threshold
        axes.axvline(threshold, color=INK, linestyle="--", linewidth=1.2)
        axes.annotate(
            "threshold",
            (threshold, 1),
            xytext=(-4, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="right",
            va="top",
            color=INK,
        )
        axes.set_xlabel("score (high is clean)", color=INK)
        axes.set_ylabel("images", color=INK)
        axes.tick_params(colors=INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(INK)
        drawn = StringIO()
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    svg = drawn.getvalue()
    for placeholder, colour in ((INK, "var(--ink)"), (CLEAN, "var(--clean)"), (OTHER, "var(--other)")):
        svg = svg.replace(placeholder, colour)
    return Markup(svg[svg.index("<svg") :])
