"""The report: all tables and figures of one or several plans, from their records."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from simdnn.errors import InputError, OutputError
from simdnn.evaluation.figures import draw_figures
from simdnn.evaluation.leaderboard import write_leaderboard
from simdnn.evaluation.plan import Plan
from simdnn.evaluation.records import Record, Records
from simdnn.evaluation.render import RENDERERS, cell_text, interval, marks, missing_values, sample_sizes
from simdnn.evaluation.tables import Table, tables
from simdnn.evaluation.tidy import write_tidy
from simdnn.evaluation.written import write_readable


@dataclass(frozen=True)
class Chapter:
    """The part of the page about one plan; figures are pairs of name and data URI."""

    plan: Plan
    tables: list[Table]
    figures: list[tuple[str, str]]
    records: list[Record]

    @property
    def origin(self) -> str:
        """Date, commits, hardware, running time and seed of the records."""
        if not self.records:
            return "no records yet"
        commits = sorted({str(record["commit"])[:10] for record in self.records})
        machines = sorted({_machine(record) for record in self.records})
        days = sorted({record["time"][:10] for record in self.records})
        seconds = sum(record.get("seconds", 0.0) for record in self.records)
        shown = ", ".join(commits[:4]) + (f" and {len(commits) - 4} more" if len(commits) > 4 else "")
        return (
            f"{len(self.records)} records of {' to '.join(dict.fromkeys((days[0], days[-1])))}; "
            f"commits {shown}; {'; '.join(machines)}; {seconds / 60:.0f} minutes; seed {self.plan.seed}"
        )


def write_report(plans: Sequence[tuple[Plan, Records]], folder: Path) -> Path:
    """Write every table as Markdown, LaTeX and CSV, every figure as PNG, and one HTML page with all of it.

    Beside them: all records as one CSV file, and the leaderboard.

    Parameters
    ----------
    plans : each with its records
    folder : output folder, created if missing; files with the same names are replaced

    Returns
    -------
    Path of the page.

    Raises
    ------
    InputError
        If there is a file in the folder's place.
    OutputError
        If something cannot be written.
    """
    _make(folder)
    chapters = []
    for plan, records in plans:
        cells = list(records)
        plan_tables = tables(plan, cells)
        for suffix, renderer in RENDERERS.items():
            for table in plan_tables:
                write_readable(folder / f"{table.name}.{suffix}", renderer(table))
        figures = [(path.stem, _uri(path)) for path in draw_figures(plan, cells, plan_tables, folder)]
        chapters.append(Chapter(plan, plan_tables, figures, cells))
    environment = Environment(
        loader=PackageLoader("simdnn.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.globals |= {
        "tuple": tuple,
        "cell_text": cell_text,
        "interval": interval,
        "marks": marks,
        "missing_values": missing_values,
        "sample_sizes": sample_sizes,
    }
    measured = [(chapter.plan, chapter.records) for chapter in chapters]
    write_tidy(measured, folder)
    write_leaderboard(measured, folder)
    page = folder / "index.html"
    write_readable(page, environment.get_template("bench.html.j2").render(chapters=chapters))
    return page


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(
            f"expected a folder, new or not, to write the report into, got {folder}, which is a file or below one; "
            "name another with -o"
        ) from error
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {folder} for the report: {error.strerror}; name another with -o"
        ) from error


def _machine(record: Record) -> str:
    hardware = record["hardware"]
    return f"{hardware['cores']} cores {hardware['machine']}" + (
        f", {hardware['gpu']}" if hardware["gpu"] else ""
    )


def _uri(path: Path) -> str:
    return f"data:image/png;base64,{b64encode(path.read_bytes()).decode()}"
