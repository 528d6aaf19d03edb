"""The SQL queries for records."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict

from sqlalchemy import Select, func, select

from simdnn.audit.records import HUMAN_LABELS, VERDICTS, AuditRecord
from simdnn.audit.schema import Label, Record
from simdnn.errors import AuditError
from simdnn.guard.verdict import Neighbour


class Selection(TypedDict, total=False):
    """A selection of records: those that meet all conditions given, by default all records.

    Attributes
    ----------
    verdict : records with this verdict
    label : records whose latest human label is this one
    unlabelled : whether only records without a human label are selected
    since : records from this time on
    before : records with a lower number
    """

    verdict: str | None
    label: str | None
    unlabelled: bool
    since: datetime | None
    before: int | None


_latest = select(func.max(Label.id)).where(Label.record_id == Record.id).correlate(Record).scalar_subquery()
_joined = Record.__table__.outerjoin(Label.__table__, Label.id == _latest)
_COLUMNS = (
    *(column for column in Record.__table__.columns if column.name != "chain"),
    *(
        Label.__table__.c[name]
        for name in ("human_label", "human_class", "labelled_by", "labelled_at", "note")
    ),
)


def records() -> Select[Any]:
    """Select all records, each with its latest label."""
    return select(*_COLUMNS).select_from(_joined)


def count() -> Select[Any]:
    """Count the records."""
    return select(func.count()).select_from(_joined)


def narrowed(query: Select[Any], only: Selection) -> Select[Any]:
    """Add the conditions of a selection to a query; AuditError if there is no such verdict or label."""
    verdict, label, since = only.get("verdict"), only.get("label"), only.get("since")
    expect("verdict", verdict, VERDICTS)
    expect("label", label, HUMAN_LABELS)
    if verdict is not None:
        query = query.where(Record.verdict == verdict)
    if label is not None:
        query = query.where(Label.human_label == label)
    if only.get("unlabelled"):
        query = query.where(Label.id.is_(None))
    if since is not None:
        query = query.where(Record.time >= since)
    if (before := only.get("before")) is not None:
        query = query.where(Record.id < before)
    return query


def from_row(row: Mapping[str, Any]) -> AuditRecord:
    """Convert a row of :func:`records` to a record."""
    return AuditRecord(**{**row, "evidence": tuple(Neighbour(**plain) for plain in row["evidence"])})


def expect(name: str, value: str | None, allowed: tuple[str, ...]) -> None:
    """Raise AuditError if a value is neither None nor among those allowed."""
    if value is not None and value not in allowed:
        raise AuditError(f"expected the {name} {' or '.join(allowed)}; got {value!r}")
