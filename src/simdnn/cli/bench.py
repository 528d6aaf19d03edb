"""``simdnn bench``: the benchmark, its tables, and the choice of its images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simdnn.cli.libraries import lab_libraries
from simdnn.cli.progress import progress_bar
from simdnn.cli.text import shown
from simdnn.errors import InputError

if TYPE_CHECKING:
    from simdnn.evaluation.run import Wanted

app = typer.Typer(help="Measure detectors and defences on attacked images.", no_args_is_help=True)

PlanFile = Annotated[Path, typer.Argument(help="What to measure, such as experiments/plans/table1.toml.")]
Cache = Annotated[
    Path | None,
    typer.Option(help="Folder for attacked images and features; default: the user's cache folder."),
]
RecordsFolder = Annotated[
    Path | None, typer.Option("--records", help="Folder of the records; default: records/ beside the plan.")
]
ONLY_KEYS = ("network", "column", "form", "method")


@app.command()
def run(
    plan: PlanFile,
    records: RecordsFolder = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Only these cells: network=, column=, form= or method=, several with commas between."
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Measure also what is measured already.")] = False,
    cache: Cache = None,
    weights: Annotated[Path, typer.Option(help="Folder with the weights of defences.")] = Path(
        "build/weights"
    ),
) -> None:
    """Measure every cell of a plan that has no record yet.

    A stopped run goes on where it was. A cell that breaks is recorded with its reason, and tried again next time.
    """
    with lab_libraries():
        from simdnn.evaluation.plan import read_plan
        from simdnn.evaluation.records import Records
        from simdnn.evaluation.run import run as measure
        from simdnn.evaluation.subject import Places

    read = read_plan(plan)
    kept = Records((records or plan.parent / "records") / f"{read.name}.jsonl")
    places = Places(plan.parent, cache or _cache(), weights)
    measure(read, kept, places, progress_bar, _say, wanted=_wanted(only or []), again=again)
    broken = sum("error" in record for record in kept)
    typer.echo(f"{sum(1 for _ in kept) - broken} cells measured, {broken} broken; records in {kept.path}")


@app.command()
def report(
    plans: Annotated[
        list[Path] | None, typer.Argument(help="Plans; default: all of the folder benchmark/.")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")] = Path("report"),
    records: RecordsFolder = None,
) -> None:
    """Make all tables (HTML, Markdown, LaTeX, CSV) and figures from the records."""
    with lab_libraries():
        from simdnn.evaluation.plan import read_plan
        from simdnn.evaluation.records import Records
        from simdnn.evaluation.report import write_report

    chosen = plans or sorted(Path("experiments/plans").glob("*.toml"))
    if not chosen:
        raise InputError("expected plans in the folder benchmark/, got none; name them")
    chapters = [
        (read_plan(plan), Records((records or plan.parent / "records") / f"{plan.stem}.jsonl"))
        for plan in chosen
    ]
    typer.echo(
        f"wrote {write_report(chapters, output)}, and {len(list(output.iterdir())) - 1} tables and figures"
    )


@app.command()
def gallery(
    plan: PlanFile,
    network: Annotated[str, typer.Option(help="Row of the network in the plan.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The HTML file to write.")] = Path(
        "gallery.html"
    ),
    images: Annotated[int, typer.Option(min=1, help="Photographs shown of each attack.")] = 3,
    cache: Cache = None,
    weights: Annotated[Path, typer.Option(help="Folder with the weights of defences.")] = Path(
        "build/weights"
    ),
) -> None:
    """Show attacked photographs, what was changed in them, and each detector's verdict."""
    with lab_libraries():
        from simdnn.evaluation.gallery import write_gallery
        from simdnn.evaluation.plan import read_plan
        from simdnn.evaluation.subject import Places

    places = Places(plan.parent, cache or _cache(), weights)
    write_gallery(read_plan(plan), network, places, output, images, progress_bar)
    typer.echo(f"wrote {output}")


@app.command("select-nonrobust")
def select_nonrobust(
    photos: Annotated[Path, typer.Argument(help="Folder of photographs.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The CSV file to write; plans can name it.")],
    plan: Annotated[Path, typer.Option(help="The networks of this plan are asked.")],
    count: Annotated[int, typer.Option(min=1, help="Keep so many, the easiest to turn.")] = 320,
    ids: Annotated[
        Path | None, typer.Option(help="Keep the images that this published list names instead.")
    ] = None,
) -> None:
    """List the photographs that the smallest changes turn; no such list was ever published, so it is our own."""
    with lab_libraries():
        from simdnn.evaluation.nonrobust import listed, write_selection
        from simdnn.evaluation.nonrobust import select_nonrobust as select
        from simdnn.evaluation.plan import read_plan
        from simdnn.images.files import find_images

    paths = find_images([photos])
    if ids is not None:
        paths = listed(paths, ids)
    chosen = read_plan(plan).networks
    networks = [network.load(plan.parent) for network in chosen]
    with progress_bar("turning photographs") as progress:
        selection = select(paths, networks, progress)
    kept = selection.easiest(len(paths) if ids is not None else count)
    write_selection(output, selection, kept.tolist(), [network.row for network in chosen])
    for reason in selection.unreadable:
        typer.echo(f"skipped: {shown(reason)}", err=True)
    typer.echo(f"wrote {len(kept)} of {len(selection.paths)} images to {output}")


def _wanted(only: list[str]) -> Wanted:
    """Read ``network=VGG,column=pgd-0.01``; several options add up."""
    filters: list[dict[str, str]] = []
    for text in only:
        pairs = dict(part.partition("=")[::2] for part in text.split(","))
        unknown = set(pairs) - set(ONLY_KEYS)
        if unknown or "" in pairs.values():
            raise InputError(f"--only takes {', '.join(f'{key}=' for key in ONLY_KEYS)}; got {text!r}")
        filters.append(pairs)

    def wanted(cell: Mapping[str, str]) -> bool:
        return not filters or any(all(cell[k] == v for k, v in chosen.items()) for chosen in filters)

    return wanted


def _cache() -> Path:
    from simdnn.networks.cache import default_cache

    return default_cache().parent


def _say(line: str) -> None:
    typer.echo(shown(line))
