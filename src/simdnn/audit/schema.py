"""The tables of an audit store. A change here needs a new migration in ``migrations/versions``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A time with time zone, stored in UTC, since SQLite has no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert a time to UTC before it is stored."""
        del dialect
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Set the time zone of a stored time to UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of all tables; constraints get predictable names, which migrations need."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
        }
    )


DERIVED = {"derived": True}
"""Marks a column that follows from other rows, is kept for speed, and is no part of the hash chain."""


class Record(Base):
    """One verdict. Rows are added with the numbers 1, 2, 3, ...; old ones may be removed, which is an action.

    ``standing`` is the record's latest human label. The first index has all that records are selected by, so that no
    filter needs the rows themselves.
    """

    __tablename__ = "record"
    __table_args__ = (
        Index(
            "ix_record_page",
            "time",
            "id",
            "verdict",
            "standing",
            "p_value",
            "label",
            "classifier_label",
            "model_id",
            "token",
        ),
        Index("ix_record_prototype", "prototype", "time", "id"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    time: Mapped[datetime] = mapped_column(UtcDateTime)
    model_id: Mapped[str] = mapped_column(String(64))
    path: Mapped[str] = mapped_column(Text)
    verdict: Mapped[str] = mapped_column(String(16))
    label: Mapped[str | None] = mapped_column(Text)
    classifier_label: Mapped[str | None] = mapped_column(Text)
    score: Mapped[float | None] = mapped_column(Float(53))
    p_value: Mapped[float | None] = mapped_column(Float(53))
    p_value_clean: Mapped[float | None] = mapped_column(Float(53))
    p_value_mixture: Mapped[float | None] = mapped_column(Float(53))
    threshold: Mapped[float | None] = mapped_column(Float(53))
    prototype: Mapped[str | None] = mapped_column(Text)
    rule: Mapped[str | None] = mapped_column(String(32))
    evidence: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    error: Mapped[str | None] = mapped_column(Text)
    image_sha256: Mapped[str | None] = mapped_column(String(64), index=True)
    opinion_class: Mapped[str | None] = mapped_column(Text)
    opinion: Mapped[float | None] = mapped_column(Float(53))
    certified_radius: Mapped[float | None] = mapped_column(Float(53))
    image_kept: Mapped[bool | None] = mapped_column(Boolean)
    image_bytes: Mapped[int | None] = mapped_column(Integer)
    token: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(String(64))
    standing: Mapped[str | None] = mapped_column(String(16), info=DERIVED)
    chain: Mapped[str] = mapped_column(String(64))


class Label(Base):
    """One human label of a record. Rows are only ever added; the latest one counts, and NULL is that none stands."""

    __tablename__ = "label"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    record_id: Mapped[int] = mapped_column(ForeignKey("record.id"), index=True)
    human_label: Mapped[str | None] = mapped_column(String(16))
    human_class: Mapped[str | None] = mapped_column(Text)
    labelled_by: Mapped[str | None] = mapped_column(Text)
    labelled_at: Mapped[datetime] = mapped_column(UtcDateTime)
    note: Mapped[str | None] = mapped_column(Text)
    action_id: Mapped[int | None] = mapped_column(ForeignKey("action.id"), index=True)
    chain: Mapped[str] = mapped_column(String(64))


class Action(Base):
    """What a person did. Rows are only ever added."""

    __tablename__ = "action"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    time: Mapped[datetime] = mapped_column(UtcDateTime)
    who: Mapped[str | None] = mapped_column(Text)
    what: Mapped[str] = mapped_column(String(32), index=True)
    target: Mapped[str] = mapped_column(Text, index=True)
    before: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    after: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    chain: Mapped[str] = mapped_column(String(64))


Chained = type[Record | Label | Action]
"""The tables whose rows are chained."""


def chained_columns(kind: Chained) -> tuple[str, ...]:
    """Return the names of the columns that a row's chain value is of."""
    return tuple(c.name for c in kind.__table__.c if c.name != "chain" and not c.info.get("derived"))


class ChainHead(Base):
    """Number and chain value of the last row of a table; writers lock it, so that only one writes at a time."""

    __tablename__ = "chain_head"

    table_name: Mapped[str] = mapped_column(String(16), primary_key=True)
    number: Mapped[int] = mapped_column(Integer)
    chain: Mapped[str] = mapped_column(String(64))


class ShadowCheck(Base):
    """Verdicts of the guard in use and of a second one on the same image; see :mod:`simdnn.audit.shadow`."""

    __tablename__ = "shadow_check"
    __table_args__ = (
        Index("ix_shadow_check_guards", "model_id", "shadow_id", "verdict", "shadow_verdict", "id"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    time: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    path: Mapped[str] = mapped_column(Text)
    image_sha256: Mapped[str | None] = mapped_column(String(64))
    model_id: Mapped[str] = mapped_column(String(64))
    verdict: Mapped[str] = mapped_column(String(16))
    score: Mapped[float | None] = mapped_column(Float(53))
    p_value: Mapped[float | None] = mapped_column(Float(53))
    shadow_id: Mapped[str] = mapped_column(String(64))
    shadow_verdict: Mapped[str] = mapped_column(String(16))
    shadow_score: Mapped[float | None] = mapped_column(Float(53))
    shadow_p_value: Mapped[float | None] = mapped_column(Float(53))
