"""The SQL queries for records."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict

from sqlalchemy import Select, and_, func, or_, select

from simdnn.audit.cursor import place
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
    unlabelled : whether only records on which no human label stands are selected
    since, until : records from this time on, and before that one
    class_name : records to which the classifier or Sim-DNN gives this class
    p_min, p_max : records whose p-value is at least, and at most this; both leave out records without one
    model_id : records of this guard
    token : records of images that were checked by whoever has the token of this name
    up_to : records up to this number, so that later ones do not join a selection that somebody has looked at
    """

    verdict: str | None
    label: str | None
    unlabelled: bool
    since: datetime | None
    until: datetime | None
    class_name: str | None
    p_min: float | None
    p_max: float | None
    model_id: str | None
    token: str | None
    up_to: int | None


_latest = select(func.max(Label.id)).where(Label.record_id == Record.id).correlate(Record).scalar_subquery()
_joined = Record.__table__.outerjoin(Label.__table__, Label.id == _latest)
_COLUMNS = (
    *(column for column in Record.__table__.columns if column.name not in ("chain", "standing")),
    *(
        Label.__table__.c[name]
        for name in ("human_label", "human_class", "labelled_by", "labelled_at", "note")
    ),
)
_NEWEST = (Record.time.desc(), Record.id.desc())


def records() -> Select[Any]:
    """Select all records, each with its latest label."""
    return select(*_COLUMNS).select_from(_joined)


def count(only: Selection) -> Select[Any]:
    """Count the records of a selection, as :func:`narrowed`."""
    return narrowed(select(func.count()).select_from(Record), only)


def page(only: Selection, after: str | None, size: int) -> Select[Any]:
    """Select the newest records of a selection, with their labels: those after a cursor.

    Which they are is found in the index alone, then the rows are read.
    """
    found = narrowed(select(Record.id), only)
    if after is not None:
        time, number = place(after)
        found = found.where(Record.time <= time, or_(Record.time < time, Record.id < number))
    numbers = found.order_by(*_NEWEST).limit(size).subquery()
    return records().where(Record.id.in_(select(numbers.c.id))).order_by(*_NEWEST)


def narrowed(query: Select[Any], only: Selection) -> Select[Any]:
    """Add the conditions of a selection to a query; AuditError if there is no such verdict or label."""
    expect("verdict", only.get("verdict"), VERDICTS)
    expect("label", only.get("label"), HUMAN_LABELS)
    if only.get("unlabelled"):
        query = query.where(Record.standing.is_(None))
    for value, condition in (
        (only.get("verdict"), lambda value: Record.verdict == value),
        (only.get("label"), lambda value: Record.standing == value),
        (only.get("since"), lambda value: Record.time >= value),
        (only.get("until"), lambda value: Record.time < value),
        (only.get("class_name"), lambda v: or_(Record.classifier_label == v, Record.label == v)),
        (only.get("p_min"), lambda value: Record.p_value >= value),
        (only.get("p_max"), lambda value: Record.p_value <= value),
        (only.get("model_id"), lambda value: Record.model_id == value),
        (only.get("token"), lambda value: Record.token == value),
        (only.get("up_to"), lambda value: Record.id <= value),
    ):
        if value is not None:
            query = query.where(condition(value))
    return query


def neighbour(only: Selection, time: datetime, number: int, *, newer: bool) -> Select[Any]:
    """Select the number of the record of a selection that comes right after, or right before one, newest first."""
    query = narrowed(select(Record.id), only)
    if newer:
        later = and_(Record.time >= time, or_(Record.time > time, Record.id > number))
        return query.where(later).order_by(Record.time, Record.id).limit(1)
    earlier = and_(Record.time <= time, or_(Record.time < time, Record.id < number))
    return query.where(earlier).order_by(*_NEWEST).limit(1)


def from_row(row: Mapping[str, Any]) -> AuditRecord:
    """Convert a row of :func:`records` to a record."""
    return AuditRecord(**{**row, "evidence": tuple(Neighbour(**plain) for plain in row["evidence"])})


def expect(name: str, value: str | None, allowed: tuple[str, ...]) -> None:
    """Raise AuditError if a value is neither None nor among those allowed."""
    if value is not None and value not in allowed:
        raise AuditError(f"expected the {name} {' or '.join(allowed)}; got {value!r}")
