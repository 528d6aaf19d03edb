"""``simdnn bench``: the benchmark, its tables, and the choice of its images."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simdnn.cli.bench_certify import certify
from simdnn.cli.bench_options import (
    Cache,
    PlanFile,
    Plans,
    RecordsFolder,
    Weights,
    chosen_plans,
    folders_of,
    records_of,
)
from simdnn.cli.bench_status import status
from simdnn.cli.libraries import lab_libraries
from simdnn.cli.optional_value import Ray, RayCommand
from simdnn.cli.options import check_output
from simdnn.cli.progress import progress_bar
from simdnn.cli.text import shown
from simdnn.errors import InputError

if TYPE_CHECKING:
    from simdnn.evaluation.plan import Plan
    from simdnn.evaluation.records import Records
    from simdnn.evaluation.run import CellFilter

app = typer.Typer(help="Measure detectors and defences on attacked images.", no_args_is_help=True)
app.command("certify")(certify)
app.command("status")(status)


@app.command(cls=RayCommand)
def run(
    plans: Plans = None,
    records: RecordsFolder = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Only these cells: network=, column=, form= or method=, several with commas between."
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Measure also what is measured already.")] = False,
    dirty: Annotated[
        bool,
        typer.Option(
            "--dirty", help="Measure although the code has changes that are not committed; tables mark that."
        ),
    ] = False,
    cache: Cache = None,
    weights: Weights = Path("build/weights"),
    ray: Ray = None,
) -> None:
    """Measure every cell of the plans that has no record of the code, data and weights as they are.

    A stopped run goes on where it was. If a cell fails, the reason is recorded, and the next run tries it again.
    """
    read = chosen_plans(plans)
    wanted = _cell_filter(only or [], read)
    with lab_libraries():
        from simdnn.evaluation.provenance import require_clean
        from simdnn.evaluation.run import run as measure

        if not dirty:
            require_clean()
        folders, each = folders_of(cache, weights), [(plan, records_of(plan, records)) for plan in read]
        if ray is None:
            for plan, cells in each:
                measure(plan, cells, folders, progress_bar, _log, wanted=wanted, again=again)
                _log(_measured(cells))
        else:
            from simdnn.distributed.benchmark import run_on_ray
            from simdnn.distributed.cluster import connected

            with connected(ray) as cluster:
                for plan, cells in each:
                    run_on_ray(plan, cells, folders, cluster, _log, wanted=wanted, again=again)
                    _log(_measured(cells))


@app.command()
def report(
    plans: Plans = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")] = Path("report"),
    records: RecordsFolder = None,
) -> None:
    """Make all tables (HTML, Markdown, LaTeX, CSV) and figures from the records."""
    from simdnn.evaluation.report import write_report

    read = chosen_plans(plans)
    page = write_report([(plan, records_of(plan, records)) for plan in read], output)
    typer.echo(f"wrote {page}, and {len(list(output.iterdir())) - 1} tables and figures")


@app.command()
def gallery(
    plan: PlanFile,
    network: Annotated[str, typer.Option(help="Row of the network in the plan.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The HTML file to write.")] = Path(
        "gallery.html"
    ),
    images: Annotated[int, typer.Option(min=1, help="Photographs shown of each attack.")] = 3,
    cache: Cache = None,
    weights: Weights = Path("build/weights"),
) -> None:
    """Show attacked photographs, their perturbations, and each detector's verdict."""
    from simdnn.evaluation.plan_file import read_plan

    check_output(output, "the gallery")
    read = read_plan(plan)
    with lab_libraries():
        from simdnn.evaluation.gallery import write_gallery

        write_gallery(read, network, folders_of(cache, weights), output, images, progress_bar)
    typer.echo(f"wrote {output}")


@app.command("select-nonrobust")
def select_nonrobust(
    photos: Annotated[Path, typer.Argument(help="Folder of photographs.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The CSV file to write; plans can name it.")],
    plan: Annotated[Path, typer.Option(help="Attack the networks of this plan.")],
    count: Annotated[int, typer.Option(min=1, help="Keep so many, the easiest to attack.")] = 320,
    ids: Annotated[
        Path | None, typer.Option(help="Keep the images that this published list names instead.")
    ] = None,
) -> None:
    """List the photographs that are easiest to attack: those with the smallest perturbations that fool the networks."""
    check_output(output, "the list")
    with lab_libraries():
        from simdnn.evaluation.load_network import load_network
        from simdnn.evaluation.nonrobust import listed, write_selection
        from simdnn.evaluation.nonrobust import select_nonrobust as select
        from simdnn.evaluation.plan_file import read_plan
        from simdnn.images.files import find_images

    paths = find_images([photos])
    if ids is not None:
        paths = listed(paths, ids)
    chosen = read_plan(plan).networks
    # all outputs: which of them are the photographs' classes, nobody has said
    networks = [load_network(replace(network, classes_only=False), plan.parent) for network in chosen]
    with progress_bar("attacking photographs") as progress:
        selection = select(paths, networks, progress)
    kept = selection.easiest(len(paths) if ids is not None else count)
    write_selection(output, selection, kept.tolist(), [network.row for network in chosen])
    for reason in selection.unreadable:
        typer.echo(f"skipped: {shown(reason)}", err=True)
    typer.echo(f"wrote {len(kept)} of {len(selection.paths)} images to {output}")


def _cell_filter(only: list[str], plans: list[Plan]) -> CellFilter:
    """Read ``network=VGG,column=pgd-0.01``; several options add up. InputError for what no plan has."""
    from simdnn.evaluation.spelling import one_of

    known: dict[str, Collection[str]] = {
        "network": [network.row for plan in plans for network in plan.networks],
        "column": [column.label for plan in plans for column in plan.columns],
        "form": [column.form for plan in plans for column in plan.columns],
        "method": [method for plan in plans for method in plan.methods],
    }
    filters: list[dict[str, str]] = []
    for text in only:
        pairs = dict(part.partition("=")[::2] for part in text.split(","))
        if set(pairs) - set(known) or "" in pairs.values():
            raise InputError(f"--only takes {', '.join(f'{key}=' for key in known)}; got {text!r}")
        for key, value in pairs.items():
            one_of(value, dict.fromkeys(known[key]), f"--only {key}=")
        filters.append(pairs)

    def wanted(cell: Mapping[str, str]) -> bool:
        return not filters or any(all(cell[k] == v for k, v in chosen.items()) for chosen in filters)

    return wanted


def _measured(cells: Records) -> str:
    broken = sum("error" in record for record in cells)
    return f"{sum(1 for _ in cells) - broken} cells measured, {broken} broken; records in {cells.path}"


def _log(line: str) -> None:
    typer.echo(shown(line))
