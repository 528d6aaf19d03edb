"""Histograms of scores, in the colours of the page that they stand on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from simdnn.arrays import FloatArray
from simdnn.evaluation.inline_svg import draw_scores

COLOURS = ("#020202", "#030303", "#040404")
"""Placeholders of calibration, clean and attacked images, which become the page's own colours."""

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

    def histograms(axes: Axes) -> None:
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
        axes.set_ylim(top=1.18 * axes.get_ylim()[1])

    return draw_scores(
        histograms,
        threshold,
        size=(4.6, 2.6),
        unit="per cent of images",
        named_left=threshold > (low + high) / 2,
        variables=dict(zip(COLOURS, ("--soft", "--clean", "--attack"), strict=True)),
    )


def _shares(scores: FloatArray) -> FloatArray:
    return np.full(len(scores), 100 / len(scores))
