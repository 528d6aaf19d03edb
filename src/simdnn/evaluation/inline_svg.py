"""A plot of scores as inline SVG, in the colours of the page that it stands on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import StringIO

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK = "#010101"
"""Placeholder of the page's text colour, its CSS variable ``--ink``."""


def draw_scores(
    histograms: Callable[[Axes], None],
    threshold: float,
    *,
    size: tuple[float, float],
    unit: str,
    named_left: bool,
    variables: Mapping[str, str],
) -> Markup:
    """Draw histograms of scores against the threshold, as inline SVG that follows light and dark mode.

    Parameters
    ----------
    histograms : draws them, and leaves room above them for the threshold's name
    threshold : a dashed line
    size : width and height, inches
    unit : what the vertical axis counts
    named_left : whether the threshold's name stands to the left of its line
    variables : placeholder colours of the histograms, each with the CSS variable that replaces it
    """
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "simdnn", "font.size": 11, "text.color": INK}
    ):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        histograms(axes)
        axes.axvline(threshold, color=INK, linestyle="--", linewidth=1.2)
        axes.annotate(
            "threshold",
            (threshold, 1),
            xytext=(-4 if named_left else 4, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="right" if named_left else "left",
            va="top",
            color=INK,
        )
        axes.set_xlabel("score (high is clean)", color=INK)
        axes.set_ylabel(unit, color=INK)
        axes.tick_params(colors=INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(INK)
        drawn = StringIO()
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    svg = drawn.getvalue()
    for placeholder, variable in {INK: "--ink", **variables}.items():
        svg = svg.replace(placeholder, f"var({variable})")
    return Markup(svg[svg.index("<svg") :])
