"""The demonstration's report: one self-contained HTML file."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from simdnn.demo.figures import score_histogram
from simdnn.demo.outcome import ImageGroup, Outcome
from simdnn.demo.text import SCORES, area, title
from simdnn.guard.explanation import Explanation
from simdnn.guard.guard import Guard
from simdnn.images.reading import read_image
from simdnn.progress import Progress

FLAGGED, MISSED = 3, 1
"""Number of flagged and of missed images shown of each attack."""

SCALE = 4
"""Factor by which the small images are enlarged."""


@dataclass(frozen=True)
class Card:
    """One attacked image of the gallery; images are data URIs.

    Attributes
    ----------
    truth : its true label
    explanation : the guard's explanation of its verdict on the attacked image
    clean, attacked, difference : the images
    gain : factor by which the difference is amplified
    prototypes : (image, label, similarity) of the most similar prototypes
    position, threshold : position of the score and of the threshold on an axis from 0 to 100
    """

    truth: str
    explanation: Explanation
    clean: str
    attacked: str
    difference: str
    gain: int
    prototypes: list[tuple[str, str, float]]
    position: float
    threshold: float


def write_report(
    path: Path,
    guard: Guard,
    groups: Sequence[ImageGroup],
    outcomes: Sequence[Outcome],
    record: dict[str, Any],
    originals: Path,
    progress: Progress,
) -> None:
    """Write the report.

    Parameters
    ----------
    path
        The HTML file.
    guard
        Explains the attacked images.
    groups, outcomes
        Groups of images, the clean ones first, and the table's row for each.
    record
        The content of ``results.json``, see `run_demo`.
    originals
        Folder with the clean images, under the same names as the attacked ones.
    progress
        Called with the number of images explained and of all to explain.
    """
    chosen = {group.name: _choose(group) for group in groups if group.attacked}
    total, done = sum(map(len, chosen.values())), 0
    gallery: dict[str, list[Card]] = {name: [] for name in chosen}
    for name, paths in chosen.items():
        for attacked in paths:
            gallery[name].append(_card(guard, attacked, originals / attacked.parent.name / attacked.name))
            done += 1
            progress(done, total)
    threshold = groups[0].verdicts[0].threshold
    scores = [score for group in groups for score in group.scores]
    limits = min(scores), max(scores)
    histograms = {
        group.name: score_histogram(groups[0].scores, group.scores, threshold, limits)
        for group in groups[1:]
        if threshold is not None
    }
    environment = Environment(
        loader=PackageLoader("simdnn.demo"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"area": area, "title": title}
    page = environment.get_template("demo.html.j2").render(
        record=record,
        score_text=SCORES[guard.rule.name],
        outcomes=outcomes,
        gallery=gallery,
        histograms=histograms,
    )
    path.write_text(page, encoding="utf-8")


def _choose(group: ImageGroup) -> list[Path]:
    """Choose attacked images that are misclassified: some flagged, some missed, of different classes if possible."""
    chosen: list[Path] = []
    for verdict, n in (("attack", FLAGGED), ("clean", MISSED)):
        paths = [
            Path(v.path)
            for v, fooled in zip(group.verdicts, group.fooled, strict=True)
            if fooled and v.verdict == verdict
        ]
        first: dict[str, Path] = {}
        for path in paths:
            first.setdefault(path.parent.name, path)
        spread = list(first.values())
        step = max(1, len(spread) // n)
        chosen += spread[::step][:n]
    return chosen


def _card(guard: Guard, attacked: Path, original: Path) -> Card:
    explanation = guard.explain(attacked)
    clean, changed = (np.asarray(read_image(path), dtype=np.float64) for path in (original, attacked))
    change = changed - clean
    gain = max(1, int(127 / max(1.0, np.abs(change).max())))
    verdict, scores = explanation.verdict, explanation.calibration_scores
    score, threshold = explanation.score_and_threshold
    low = min(scores[0], score)
    span = max(scores[-1], score) - low
    return Card(
        truth=attacked.parent.name,
        explanation=explanation,
        clean=_png(clean),
        attacked=_png(changed),
        difference=_png(127.5 + gain * change),
        gain=gain,
        prototypes=[
            (_uri(exemplar.thumbnail, "jpeg"), neighbour.label, neighbour.similarity)
            for exemplar, neighbour in zip(explanation.exemplars, verdict.evidence, strict=True)
        ],
        position=100 * (score - low) / span,
        threshold=100 * (threshold - low) / span,
    )


def _png(pixels: NDArray[np.float64]) -> str:
    picture = Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))
    picture = picture.resize((picture.width * SCALE, picture.height * SCALE), Image.Resampling.NEAREST)
    encoded = BytesIO()
    picture.save(encoded, "PNG", optimize=True)
    return _uri(encoded.getvalue(), "png")


def _uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{b64encode(content).decode()}"
