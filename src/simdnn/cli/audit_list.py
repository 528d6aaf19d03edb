"""How ``simdnn audit list`` lays out records: as a table, or where that does not fit as a few lines for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING

from rich.cells import cell_len, chop_cells

from simdnn.cli.text import shown

if TYPE_CHECKING:
    from simdnn.audit.records import AuditRecord

HEADERS: tuple[str, ...] = (
    "id",
    "time (UTC)",
    "verdict",
    "score",
    "classifier",
    "looks like",
    "human",
    "image",
)
TABLE_WIDTH = 110
"""Columns that a table needs to be readable."""
CELL = 24
"""Columns up to which a cell moves those after it."""
PAGE = 500
"""Rows after which the table may widen."""


def listed(records: Iterable[AuditRecord], width: int) -> Iterator[str]:
    """Yield the lines of a listing for a screen of that many columns; the image's path is always whole."""
    if width >= TABLE_WIDTH:
        yield from _table(map(_cells, records))
        return
    for record in records:
        yield from _block(record, width)


def _cells(record: AuditRecord) -> tuple[str, ...]:
    return (
        str(record.id),
        f"{record.time:%Y-%m-%d %H:%M:%S}",
        record.verdict,
        "" if record.score is None else f"{record.score:.4g}",
        shown(record.classifier_label or ""),
        shown(record.label or ""),
        record.human_label or "",
        shown(record.path),
    )


def _table(rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    widths = [0] * (len(HEADERS) - 1)
    rows = chain((HEADERS,), rows)
    while page := list(islice(rows, PAGE)):
        for column, width in enumerate(widths):
            widths[column] = max(width, *(min(cell_len(row[column]), CELL) for row in page))
        for row in page:
            cells = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=False))
            yield "  ".join((*cells, row[-1]))


def _block(record: AuditRecord, width: int) -> Iterator[str]:
    """Yield the filled cells with their names, as many a line as fit, and the path on lines of its own."""
    number, time, verdict, score, classifier, looks_like, human, path = _cells(record)
    named = {"score": score, "classifier": classifier, "looks like": looks_like, "human": human}
    line = f"{number}  {time}"
    for part in (verdict, *(f"{name} {cell}" for name, cell in named.items() if cell)):
        if cell_len(line) + 2 + cell_len(part) > width:
            yield line
            line = f"  {part}"
        else:
            line += f"  {part}"
    yield line
    yield from (f"  {piece}" for piece in chop_cells(path, max(width - 2, 2)))
