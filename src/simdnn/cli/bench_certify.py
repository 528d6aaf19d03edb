"""``simdnn bench certify``: what a guard's second opinion certifies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simdnn.cli.options import GuardFile, Trust, Weights, load_guard
from simdnn.cli.progress import progress_bar
from simdnn.cli.text import echo, shown
from simdnn.errors import InputError


def certify(
    guard: GuardFile,
    data: Annotated[
        Path, typer.Argument(help="Clean images: one subfolder per class, or a CSV file: path,label.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")] = Path("report"),
    draws: Annotated[int, typer.Option(min=1, help="Noisy draws of each image for the certificate.")] = 1000,
    attacks: Annotated[
        int,
        typer.Option(min=0, help="Attack so many certified images within their radii, too; none may pass."),
    ] = 0,
    alpha: Annotated[float, typer.Option(help="False-alarm rate of the rule that is attacked.")] = 0.1,
    weights: Weights = None,
    trust: Trust = None,
) -> None:
    """Measure certified detection over false alarms: no attack of a size, known or not, brings such an image past.

    A stopped run goes on where it was: the votes of each image are written as they come.
    """
    from simdnn.evaluation.certified.attack import attack_within
    from simdnn.evaluation.certified.measure import measure_votes
    from simdnn.evaluation.certified.report import certified_table, write_certified
    from simdnn.evaluation.certified.summary import certified_radii, summary
    from simdnn.evaluation.records import Records

    if output.exists() and not output.is_dir():
        raise InputError(f"expected a folder to write the report to, got the file {output}")
    output.mkdir(parents=True, exist_ok=True)
    loaded = load_guard(guard, weights, trust)
    with progress_bar("counting votes") as progress:
        votes = measure_votes(loaded, data, draws, Records(output / "votes.jsonl"), progress)
    found = summary(loaded, votes)
    found["data"] = data.name
    if attacks:
        radii = certified_radii(loaded, votes, alpha)
        chosen = [row for row, radius in enumerate(radii.tolist()) if radius > 0][:attacks]
        with progress_bar("attacking") as progress:
            tried = attack_within(
                loaded,
                [Path(votes[row]["image"]) for row in chosen],
                [votes[row]["label"] for row in chosen],
                radii[chosen],
                alpha=alpha,
                progress=progress,
            )
        found["attacked"] = {**tried._asdict(), "alpha": alpha, "passed": 0}
    written = write_certified(found, output)
    echo(certified_table(found))
    echo(shown(f"wrote {', '.join(path.name for path in written)} in {output}"))
