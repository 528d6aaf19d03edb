"""Verdicts as a CSV file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from simdnn.errors import OutputError

if TYPE_CHECKING:
    from simdnn.guard.verdict import Verdict


@contextmanager
def csv_rows(path: Path | None) -> Iterator[Callable[[Verdict], object]]:
    """Yield what writes a verdict as a row, evidence as JSON; the file is there once all of it is. None writes nothing.

    Cells are those of :func:`simdnn.audit.export.csv_cell`: names may be an attacker's.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    if path is None:
        yield lambda _: None
        return
    from simdnn.atomic import whole_file
    from simdnn.audit.export import csv_cell
    from simdnn.guard.verdict import Verdict

    foreign: OSError | None = None
    try:
        with whole_file(path) as file:
            text = io.TextIOWrapper(
                file, encoding="utf-8", errors="backslashreplace", newline="", write_through=True
            )
            writer = csv.DictWriter(text, [field.name for field in fields(Verdict)])
            writer.writeheader()

            def row(verdict: Verdict) -> None:
                plain = verdict.as_dict()
                plain["evidence"] = json.dumps(plain["evidence"])
                try:
                    writer.writerow({name: csv_cell(value) for name, value in plain.items()})
                except OSError as error:
                    raise OutputError(f"cannot write {path}: {error.strerror}") from error

            try:
                yield row
            except OSError as error:  # of whoever uses the row
                foreign = error
                raise
            text.detach()
    except OSError as error:
        if error is foreign:
            raise
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
