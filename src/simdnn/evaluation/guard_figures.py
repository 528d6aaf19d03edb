"""Histograms of scores, in the colours of the page that they stand on."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from simdnn.arrays import FloatArray

INK = "#010101"
COLOURS = ("#020202", "#030303", "#040404")
"""Placeholders of calibration, clean and attacked images, which become the page's own colours."""

_VARIABLES = {INK: "--ink", COLOURS[0]: "--soft", COLOURS[1]: "--clean", COLOURS[2]: "--attack"}

BINS = 36


def score_histogram(
    calibration: FloatArray, groups: Sequence[tuple[FloatArray, bool]], threshold: float
) -> Markup:
    """Draw densities of scores against the threshold, as inline SVG that follows light and dark mode.

    Parameters
    ----------
    calibration : scores of the images that set the threshold: an outline
    groups : scores, and whether their images were attacked; filled
    threshold : below it images are flagged
    """
    everything = np.concatenate([calibration, *(scores for scores, _ in groups), [threshold]])
    # One image far from all others would leave the rest a single bar: the outermost bars hold what lies beyond.
    low, high = np.quantile(everything, [0.005, 1.0])
    low = min(low, threshold)
    bins = list(np.linspace(low, high if high > low else low + 1, BINS))
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "simdnn", "font.size": 11, "text.color": INK}
    ):
        figure = Figure(figsize=(4.6, 2.6), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        for scores, attacked in groups:
            colour = COLOURS[1 + attacked]
            axes.hist(scores.clip(low), bins=bins, weights=_shares(scores), color=colour, alpha=0.55)
        axes.hist(
            calibration.clip(low),
            bins=bins,
            weights=_shares(calibration),
            color=COLOURS[0],
            histtype="step",
            linewidth=1.6,
        )
        axes.axvline(threshold, color=INK, linestyle="--", linewidth=1.2)
        axes.set_ylim(top=1.18 * axes.get_ylim()[1])  # a place for the threshold's name
        left = threshold > (low + high) / 2
        axes.annotate(
            "threshold",
            (threshold, 1),
            xytext=(-4 if left else 4, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="right" if left else "left",
            va="top",
            color=INK,
        )
        axes.set_xlabel("score (high is clean)", color=INK)
        axes.set_ylabel("per cent of images", color=INK)
        axes.tick_params(colors=INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(INK)
        drawn = StringIO()
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    svg = drawn.getvalue()
    for placeholder, variable in _VARIABLES.items():
        svg = svg.replace(placeholder, f"var({variable})")
    return Markup(svg[svg.index("<svg") :])


def _shares(scores: FloatArray) -> FloatArray:
    return np.full(len(scores), 100 / len(scores))
