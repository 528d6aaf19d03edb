"""Verdicts of a second guard beside those of the guard in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any

from sqlalchemy import func, insert, select

from simdnn.audit.chain import storable
from simdnn.audit.schema import Record, ShadowCheck
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
    record_id, classifier_label, image_kept : of the latest record of this image by the guard in use; None without one
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
    record_id: int | None
    classifier_label: str | None
    image_kept: bool | None


@dataclass(frozen=True)
class Pair:
    """How many images had which verdicts: that of the guard in use before that of its shadow."""

    model_id: str
    shadow_id: str
    clean_clean: int
    clean_attack: int
    attack_clean: int
    attack_attack: int


class ShadowLog:
    """The table of both guards' verdicts in an audit store; it is no part of the hash chain."""

    def __init__(self, store: AuditStore) -> None:
        self._store = store

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Add rows with the columns of the table but its number; AuditError if they cannot be written."""
        if rows:
            with self._store._writing() as connection:
                connection.execute(insert(ShadowCheck), [storable(row) for row in rows])

    def pairs(self) -> list[Pair]:
        """Count the images by their verdicts, for each two guards; those that were compared last come first."""
        guards = (ShadowCheck.model_id, ShadowCheck.shadow_id)
        cells = (
            func.count()
            .filter(ShadowCheck.verdict == own, ShadowCheck.shadow_verdict == other)
            .label(f"{own}_{other}")
            for own, other in product(("clean", "attack"), repeat=2)
        )
        query = select(*guards, *cells).group_by(*guards).order_by(func.max(ShadowCheck.id).desc())
        with self._store._reading() as connection:
            return [Pair(**row._asdict()) for row in connection.execute(query)]

    def disagreements(
        self,
        *,
        model_id: str | None = None,
        shadow_id: str | None = None,
        verdict: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[ShadowRecord]:
        """Return the images with different verdicts, newest first.

        Parameters
        ----------
        model_id, shadow_id : only those that these guards judged
        verdict : only those with this verdict of the guard in use
        before : only those with a lower number
        limit : largest number of images
        """
        only = {"model_id": model_id, "shadow_id": shadow_id, "verdict": verdict}
        found = select(ShadowCheck).where(ShadowCheck.verdict != ShadowCheck.shadow_verdict)
        found = found.filter_by(**{name: value for name, value in only.items() if value is not None})
        if before is not None:
            found = found.where(ShadowCheck.id < before)
        shown = found.order_by(ShadowCheck.id.desc()).limit(limit).subquery()
        latest = (
            select(func.max(Record.id))
            .where(Record.image_sha256 == shown.c.image_sha256, Record.model_id == shown.c.model_id)
            .correlate(shown)
            .scalar_subquery()
        )
        query = (
            select(shown, Record.id.label("record_id"), Record.classifier_label, Record.image_kept)
            .outerjoin(Record, Record.id == latest)
            .order_by(shown.c.id.desc())
        )
        with self._store._reading() as connection:
            return [ShadowRecord(**row._asdict()) for row in connection.execute(query)]
