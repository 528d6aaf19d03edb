"""Texts of the demonstration's report and of its table on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simdnn.evaluation.intervals import Estimate

SCORES: Mapping[str, str] = {
    "similarity": "The score is the similarity to the nearest prototype (eq. 10), between 0 and 1.",
    "published": "The score is the largest relative similarity to a prototype (eq. 9), between 0 and 1.",
    "profile": "The score compares an image with the nearest prototype and with shifted views of itself. It is 0 for "
    "an image as consistent as clean images are, and falls by about 1 per standard deviation that it is less so.",
}
"""Description of each rule's score, by the name of the rule."""


def title(parameters: dict[str, Any]) -> str:
    """Return the title of an attack with its parameters.

    >>> title({"attack": "pgd", "eps": 0.1, "steps": 20, "step_size": 0.02, "seed": 0})
    'PGD, eps 0.1, 20 steps'
    >>> title({})
    'Clean digits'
    """
    match parameters:
        case {"attack": "fgsm", "eps": eps}:
            return f"FGSM, eps {eps}"
        case {"attack": "pgd", "eps": eps, "steps": steps}:
            return f"PGD, eps {eps}, {steps} steps"
        case {"attack": "ddn", "steps": steps}:
            return f"DDN, {steps} steps"
        case {"attack": "noise", "eps": eps}:
            return f"Noise, ±{eps} (control)"
    return "Clean digits"


def area(estimate: Estimate | None) -> str:
    """Format an area under the ROC curve with its interval; empty for None.

    >>> area(Estimate(0.9514, 0.93, 0.9672))
    '0.951 (0.930 to 0.967)'
    >>> area(None)
    ''
    """
    return "" if estimate is None else estimate.decimal()
