"""Which records are looked for, as SQL."""

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
    """Which records: all, less those that a given key leaves out.

    Attributes
    ----------
    verdict : only those with this verdict
    label : only those whose latest human label is this one
    unlabelled : only those that no human has labelled
    since : only those kept at this time or later
    """

    verdict: str | None
    label: str | None
    unlabelled: bool
    since: datetime | None


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
    """Leave out what was not asked for; AuditError if there is no such verdict or label."""
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
    return query


def from_row(row: Mapping[str, Any]) -> AuditRecord:
    """Return a row of :func:`records` as the record that it is."""
    return AuditRecord(**{**row, "evidence": tuple(Neighbour(**plain) for plain in row["evidence"])})


def expect(what: str, given: str | None, known: tuple[str, ...]) -> None:
    """Refuse a word that is none of those known."""
    if given is not None and given not in known:
        raise AuditError(f"expected the {what} {' or '.join(known)}; got {given!r}")
