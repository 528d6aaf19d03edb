"""Verify the hash chains: find rows that were edited, deleted or added without the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, func, select

from simdnn.audit.chain import START, link
from simdnn.audit.images import Images
from simdnn.audit.schema import Action, Chained, ChainHead, Label, Record, chained_columns
from simdnn.errors import AuditError

PAGE = 1000
"""Number of rows in memory at a time."""

RETAIN = "retain"
"""The action that removes old records; its ``after`` has under ``removed`` [first, last, chain value of the last] of
each run of records that were removed."""

Gaps = Mapping[int, tuple[int, str]]


def faults(connection: Connection, images: Images | None, head: str | None) -> Iterator[str]:
    """Yield one line for each fault of the tables and, if their place is given, of the kept images.

    ``head`` is an earlier chain value of any table. Without one, it cannot be detected that all rows from some row
    on were rewritten together with their chain values.
    """
    found = head is None
    gaps, sound = removed(connection), True
    for kind in (Record, Label, Action):
        known: Gaps = gaps if kind is Record else {}
        for row, fault in _walk(connection, kind, known):
            if fault:
                sound = sound and kind is not Label
                yield fault
            found = found or row.get("chain") == head
            if images is not None and row.get("image_kept"):
                yield from _image_fault(images, row)
    if sound:  # else the labels' own faults say it
        yield from _standing_faults(connection)
    if not found and head not in {chain for _, chain in gaps.values()}:
        yield f"no row has the chain value {head}: it was deleted, or all up to it was rewritten"


def removed(connection: Connection) -> dict[int, tuple[int, str]]:
    """Return the records that retention removed: by the first of each run, the last and its chain value."""
    gaps: dict[int, tuple[int, str]] = {}
    query = select(Action.after).where(Action.what == RETAIN).order_by(Action.id)
    for after in connection.execute(query).scalars():
        runs = after.get("removed", []) if isinstance(after, dict) else []
        gaps |= {first: (last, chain) for first, last, chain in runs}
    return gaps


def _walk(connection: Connection, kind: Chained, gaps: Gaps) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield each row with its fault, or an empty text; for rows missing at the end, an empty row with the fault."""
    columns = [kind.__table__.c[column] for column in (*chained_columns(kind), "chain")]
    query = select(*columns).order_by(kind.id).execution_options(yield_per=PAGE)
    end = connection.execute(
        select(ChainHead).where(ChainHead.table_name == kind.__tablename__)
    ).one_or_none()
    number, chain = 0, START
    for result in connection.execute(query):
        row = result._asdict()
        number, chain = _over_gaps(gaps, number, chain, row["id"])
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
        return
    number, chain = _over_gaps(gaps, number, chain, end.number + 1)
    if number < end.number:
        yield {}, _missing(kind, number + 1, end.number)
    elif number == end.number and chain != end.chain:
        yield {}, f"the end of the {kind.__tablename__}s' chain was altered"


def _over_gaps(gaps: Gaps, number: int, chain: str, until: int) -> tuple[int, str]:
    """Step over the records that retention removed right after one, up to another."""
    while number + 1 < until and number + 1 in gaps and gaps[number + 1][0] < until:
        number, chain = gaps[number + 1]
    return number, chain


def _standing_faults(connection: Connection) -> Iterator[str]:
    """Compare what each record says of its label with the labels themselves."""
    latest = select(func.max(Label.id)).where(Label.record_id == Record.id).correlate(Record)
    said = select(Label.human_label).where(Label.id == latest.scalar_subquery()).scalar_subquery()
    query = select(Record.id).where(Record.standing.is_distinct_from(said)).order_by(Record.id)
    for number in connection.execute(query).scalars():
        yield f"record {number} does not have the label that was given last"


def _missing(kind: Chained, first: int, last: int) -> str:
    return (
        f"{kind.__tablename__} {first} is missing"
        if first == last
        else f"{kind.__tablename__}s {first} to {last} are missing"
    )


def _name(kind: Chained, row: Mapping[str, Any]) -> str:
    return f"{kind.__tablename__} {row['id']}" + (
        f" (of record {row['record_id']})" if "record_id" in row else ""
    )


def _image_fault(images: Images, row: Mapping[str, Any]) -> Iterator[str]:
    if row["image_sha256"] is None:
        return  # the row was altered, which is reported already
    try:
        images.get(row["image_sha256"])
    except AuditError as error:
        yield f"record {row['id']}: {error}"
