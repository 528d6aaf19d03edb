"""The numbers behind the plots; the templates draw them as SVG in the page's own colours."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np

from simdnn.arrays import FloatArray
from simdnn.service.models import Model

BINS = 40
_KEPT = 2
_scores: OrderedDict[str, FloatArray] = OrderedDict()


def calibration_scores(model: Model) -> FloatArray:
    """Return the scores (n,) of the images that calibrate a guard; they are kept for the next page."""
    if model.id not in _scores:
        _scores[model.id] = model.judge(None, None).rule.calibration_scores()
        while len(_scores) > _KEPT:
            _scores.popitem(last=False)
    return _scores[model.id]


def histogram(scores: FloatArray, score: float, threshold: float) -> dict[str, Any]:
    """Return a histogram of calibration scores that an image's score and its threshold lie within.

    >>> histogram(np.array([0.0, 0.5, 1.0]), 0.5, 0.2)["counts"][0]
    1
    """
    low, high = min(scores.min(), score, threshold), max(scores.max(), score, threshold)
    counts, edges = np.histogram(scores, bins=BINS, range=(low, high if high > low else low + 1))
    return {
        "counts": counts.tolist(),
        "low": float(edges[0]),
        "high": float(edges[-1]),
        "score": score,
        "threshold": threshold,
        "n": len(scores),
    }
