"""``simdnn explain``: show why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from simdnn.cli.options import Alpha, AsJson, GuardFile, Rule, Trust, Weights, load_guard
from simdnn.cli.text import shown


def explain(
    guard: GuardFile,
    image: Annotated[Path, typer.Argument(help="The image to explain.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Picture to draw: .png, .svg or .pdf.")
    ] = Path("why.png"),
    as_json: AsJson = False,
    rule: Rule = None,
    alpha: Alpha = None,
    weights: Weights = None,
    trust: Trust = None,
) -> None:
    """Draw an image, its nearest prototypes, and its score among those of clean images."""
    from simdnn.guard.plots import draw_explanation

    explanation = load_guard(guard, weights, trust).explain(image, rule=rule, alpha=alpha)
    draw_explanation(explanation, output)
    verdict = explanation.verdict
    if as_json:
        typer.echo(json.dumps(verdict.as_dict()))
        return
    typer.echo(
        f"{verdict.verdict}: score {verdict.score:.4g}, threshold {verdict.threshold:.4g}, rule {verdict.rule}"
    )
    for neighbour in verdict.evidence:
        typer.echo(
            shown(f"  {neighbour.similarity:.4f} {neighbour.prototype} (shown by {neighbour.exemplar})")
        )
    typer.echo(shown(f"wrote {output}"))
