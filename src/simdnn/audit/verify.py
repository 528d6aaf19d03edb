"""Verify the hash chains: find rows that were edited, deleted or added without the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, select

from simdnn.audit.chain import START, link
from simdnn.audit.images import ImageFolder
from simdnn.audit.schema import ChainHead, Label, Record
from simdnn.errors import AuditError

PAGE = 1000
"""Number of rows in memory at a time."""


Kind = type[Record | Label]


def faults(connection: Connection, images: ImageFolder | None, head: str | None) -> Iterator[str]:
    """Yield one line for each fault of the tables and, if their folder is given, of the kept images.

    ``head`` is an earlier chain value of either table. Without one, it cannot be detected that all rows from some row
    on were rewritten together with their chain values.
    """
    found = head is None
    for kind in (Record, Label):
        for row, fault in _walk(connection, kind):
            if fault:
                yield fault
            found = found or row.get("chain") == head
            if images is not None and row.get("image_kept"):
                yield from _image_fault(images, row)
    if not found:
        yield f"no row has the chain value {head}: it was deleted, or all up to it was rewritten"


def _walk(connection: Connection, kind: Kind) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield each row with its fault, or an empty text; for rows missing at the end, an empty row with the fault."""
    query = select(kind.__table__).order_by(kind.id).execution_options(yield_per=PAGE)
    end = connection.execute(
        select(ChainHead).where(ChainHead.table_name == kind.__tablename__)
    ).one_or_none()
    number, chain = 0, START
    for result in connection.execute(query):
        row = result._asdict()
        fault = ""
        if link(chain, row) != row["chain"]:
            gap = row["id"] - number - 1
            fault = _missing(kind, number + 1, row["id"] - 1) if gap else f"{_name(kind, row)} was altered"
        elif end is None or row["id"] > end.number:
            fault = f"{_name(kind, row)} was not added by the store"
        yield row, fault
        number, chain = row["id"], row["chain"]
    if end is None:
        yield {}, f"the end of the {kind.__tablename__}s' chain is missing"
    elif number < end.number:
        yield {}, _missing(kind, number + 1, end.number)
    elif number == end.number and chain != end.chain:
        yield {}, f"the end of the {kind.__tablename__}s' chain was altered"


def _missing(kind: Kind, first: int, last: int) -> str:
    return (
        f"{kind.__tablename__} {first} is missing"
        if first == last
        else f"{kind.__tablename__}s {first} to {last} are missing"
    )


def _name(kind: Kind, row: Mapping[str, Any]) -> str:
    return f"{kind.__tablename__} {row['id']}" + (
        f" (of record {row['record_id']})" if "record_id" in row else ""
    )


def _image_fault(images: ImageFolder, row: Mapping[str, Any]) -> Iterator[str]:
    if row["image_sha256"] is None:
        return  # the row was altered, which is reported already
    try:
        images.get(row["image_sha256"])
    except AuditError as error:
        yield f"record {row['id']}: {error}"
