"""``simdnn explain``: show why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from simdnn.cli.options import (
    RESULT,
    Alpha,
    AsJson,
    Certify,
    CertifyDraws,
    Device,
    GuardFile,
    MaxPixels,
    Rule,
    Trust,
    Weights,
    check_output,
    load_guard,
    read_limits,
)
from simdnn.cli.text import echo, second_opinion, shown


def explain(
    guard: GuardFile,
    image: Annotated[Path, typer.Argument(help="The image to explain.")],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="Picture to draw: .png, .svg or .pdf.", rich_help_panel=RESULT),
    ] = Path("why.png"),
    as_json: AsJson = False,
    rule: Rule = None,
    alpha: Alpha = None,
    certify: Certify = False,
    draws: CertifyDraws = 1000,
    weights: Weights = None,
    trust: Trust = None,
    device: Device = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Draw an image, its nearest prototypes, its score among those of clean images, and the second opinion.

    Exit status: 0 if it was drawn, 2 for a mistake or an image that cannot be read, 74 if the picture could not be
    written.
    """
    check_output(output, "the picture")
    from simdnn.guard.plots import draw_explanation

    loaded = load_guard(guard, weights, trust, device)
    loaded.stream.limits = read_limits(max_pixels)
    explanation = loaded.explain(image, rule=rule, alpha=alpha, certify=draws if certify else None)
    draw_explanation(explanation, output)
    verdict = explanation.verdict
    if as_json:
        echo(json.dumps(verdict.as_dict()))
        return
    echo(
        shown(
            f"{verdict.verdict}: score {verdict.score:.4g}, threshold {verdict.threshold:.4g}, rule {verdict.rule}"
            + second_opinion(verdict)
        )
    )
    for neighbour in verdict.evidence:
        echo(shown(f"  {neighbour.similarity:.4f} {neighbour.prototype} (shown by {neighbour.exemplar})"))
    echo(shown(f"wrote {output}"))
