"""Options of the benchmark's commands, and the files that they name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simdnn.errors import InputError

if TYPE_CHECKING:
    from simdnn.evaluation.plan import Plan
    from simdnn.evaluation.records import Records
    from simdnn.evaluation.tested_network import Folders

PLANS = Path("experiments/plans")

PlanFile = Annotated[Path, typer.Argument(help=f"What to measure, such as {PLANS}/table1.toml.")]
Cache = Annotated[
    Path | None,
    typer.Option(help="Folder for attacked images and features; default: the user's cache folder."),
]
Weights = Annotated[Path, typer.Option(help="Folder with the weights of defences.")]
RecordsFolder = Annotated[
    Path | None,
    typer.Option(
        "--records", help="Folder of the records; default: the plan's, or records/ beside the plan."
    ),
]
Plans = Annotated[list[Path] | None, typer.Argument(help=f"Plans; default: all in {PLANS}/.")]


def chosen_plans(plans: Sequence[Path] | None) -> list[Plan]:
    """Read the plans named, or all of the benchmark's."""
    from simdnn.evaluation.plan_file import read_plan

    chosen = plans or sorted(PLANS.glob("*.toml"))
    if not chosen:
        raise InputError(f"expected plans in the folder {PLANS}/, got none; name them")
    return [read_plan(plan) for plan in chosen]


def records_of(plan: Plan, folder: Path | None) -> Records:
    """Read the records of a plan."""
    from simdnn.evaluation.records import Records

    return Records(folder / plan.records.name if folder else plan.records)


def folders_of(cache: Path | None, weights: Path) -> Folders:
    """Return the folders for stored files and with the weights of defences."""
    from simdnn.evaluation.tested_network import Folders
    from simdnn.networks.cache import default_cache

    return Folders(cache or default_cache().parent, weights)
