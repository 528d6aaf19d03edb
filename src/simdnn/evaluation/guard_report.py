"""The report of ``simdnn evaluate``: one HTML file with everything in it but the images that it links to."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from simdnn.evaluation.guard_evaluation import GuardEvaluation, Images, Rates
from simdnn.evaluation.guard_figures import score_histogram
from simdnn.evaluation.intervals import Estimate
from simdnn.evaluation.written import write_readable
from simdnn.guard.exemplars import exemplar
from simdnn.guard.verdict import Verdict

SHOWN = 8
"""Pictures of each folder: the clean images that are flagged with the lowest scores, or the attacked ones that are not
flagged with the highest."""


@dataclass(frozen=True)
class Picture:
    """One image that was judged wrongly.

    Attributes
    ----------
    verdict : of the guard
    truth : its true label; None where it is not known
    thumbnail : data URI; empty where it could not be made
    link : to the file
    """

    verdict: Verdict
    truth: str | None
    thumbnail: str
    link: str


@dataclass(frozen=True)
class Chapter:
    """One folder: what was counted, the histogram, and the pictures of wrong verdicts, of which there are ``wrong``."""

    rates: Rates
    histogram: Markup
    wrong: int
    pictures: list[Picture]


def write_guard_report(path: Path, found: GuardEvaluation) -> None:
    """Write the report.

    Parameters
    ----------
    path : the HTML file
    found : what :func:`simdnn.evaluation.guard_evaluation.evaluate_guard` measured

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    chapters = []
    for images, rates in zip((found.clean, *found.attacked), found.rates, strict=True):
        groups = [(found.clean.scores, False)]
        if images.attacked:
            groups.append((images.scores, True))
        wrong = _wrong(images)
        chapters.append(
            Chapter(
                rates,
                score_histogram(found.calibration_scores, groups, found.threshold),
                len(wrong),
                [_picture(images, i) for i in wrong[:SHOWN]],
            )
        )
    environment = Environment(
        loader=PackageLoader("simdnn.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {"per_cent": _per_cent, "area": _area}
    page = environment.get_template("guard.html.j2").render(
        found=found,
        chapters=chapters,
        labelled=any(rates.detected is not None for rates in found.rates),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_readable(path, page)


def _wrong(images: Images) -> list[int]:
    """Return the images that are judged wrongly, the worst first."""
    scores, flagged = images.scores, images.flagged
    if images.attacked:
        return sorted((i for i, flag in enumerate(flagged) if not flag), key=lambda i: -scores[i])
    return sorted((i for i, flag in enumerate(flagged) if flag), key=lambda i: scores[i])


def _picture(images: Images, i: int) -> Picture:
    verdict = images.verdicts[i]
    path = Path(verdict.path).absolute()
    thumbnail = exemplar(path, path.name).thumbnail
    uri = f"data:image/jpeg;base64,{b64encode(thumbnail).decode()}" if thumbnail else ""
    return Picture(verdict, images.truth[i] if images.truth else None, uri, path.as_uri())


def _per_cent(share: Estimate) -> tuple[str, str]:
    """Return a share and its interval, as texts."""
    return f"{100 * share.value:.1f} %", f"{100 * share.low:.1f} to {100 * share.high:.1f}"


def _area(area: Estimate) -> tuple[str, str]:
    """Return an area under the ROC curve and its interval, as texts."""
    return f"{area.value:.3f}", f"{area.low:.3f} to {area.high:.3f}"
