"""Verdicts of a second guard beside those of the guard in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select

from simdnn.audit.chain import storable
from simdnn.audit.schema import ShadowCheck
from simdnn.audit.store import AuditStore


@dataclass(frozen=True)
class ShadowRecord:
    """Both verdicts on one image.

    Attributes
    ----------
    id, time : number, and time in UTC
    path, image_sha256 : the image
    model_id, verdict, score, p_value : of the guard in use
    shadow_id, shadow_verdict, shadow_score, shadow_p_value : of the other
    """

    id: int
    time: datetime
    path: str
    image_sha256: str | None
    model_id: str
    verdict: str
    score: float | None
    p_value: float | None
    shadow_id: str
    shadow_verdict: str
    shadow_score: float | None
    shadow_p_value: float | None


class ShadowLog:
    """The table of both guards' verdicts in an audit store; it is no part of the hash chain."""

    def __init__(self, store: AuditStore) -> None:
        self._store = store

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Add rows with the fields of :class:`ShadowRecord` but its number; AuditError if they cannot be written."""
        if rows:
            with self._store._writing() as connection:
                connection.execute(insert(ShadowCheck), [storable(row) for row in rows])

    def counts(self) -> dict[tuple[str, str, str, str], int]:
        """Return how many images had which verdicts: by (model_id, shadow_id, verdict, shadow_verdict)."""
        keys = (
            ShadowCheck.model_id,
            ShadowCheck.shadow_id,
            ShadowCheck.verdict,
            ShadowCheck.shadow_verdict,
        )
        with self._store._reading() as connection:
            rows = connection.execute(select(*keys, func.count()).group_by(*keys)).all()
        return {(row[0], row[1], row[2], row[3]): row[4] for row in rows}

    def disagreements(self, *, before: int | None = None, limit: int = 50) -> list[ShadowRecord]:
        """Return the images with different verdicts, newest first; those with a number lower than ``before``."""
        query = select(*ShadowCheck.__table__.c).where(ShadowCheck.verdict != ShadowCheck.shadow_verdict)
        if before is not None:
            query = query.where(ShadowCheck.id < before)
        with self._store._reading() as connection:
            rows = connection.execute(query.order_by(ShadowCheck.id.desc()).limit(limit)).all()
        return [ShadowRecord(**row._asdict()) for row in rows]
