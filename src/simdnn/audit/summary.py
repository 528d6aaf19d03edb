"""What is in a store, in numbers: records over time, and the values that they can be selected by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import case, func, literal_column, select

from simdnn.audit.schema import Record
from simdnn.audit.store import AuditStore

NEWEST = 5000
"""Records whose values are offered."""
CHOICES = 200
"""Largest number of values."""


class Summary:
    """Numbers about the records of a store."""

    def __init__(self, store: AuditStore) -> None:
        self._store = store

    def counts(self, edges: Sequence[datetime]) -> list[dict[str, int]]:
        """Return how many records have which verdict in each interval, from one of ascending edges until the next."""
        interval = case(
            *((Record.time < edge, literal_column(str(i))) for i, edge in enumerate(edges[1:])),
            else_=literal_column(str(len(edges))),
        ).label("interval")
        query = (
            select(interval, Record.verdict, func.count())
            .where(Record.time >= edges[0], Record.time < edges[-1])
            .group_by(interval, Record.verdict)
        )
        counts: list[dict[str, int]] = [{} for _ in edges[1:]]
        with self._store._reading() as connection:
            for i, verdict, number in connection.execute(query):
                counts[i][verdict] = number
        return counts

    def choices(self) -> dict[str, list[str]]:
        """Return the classes, guards and tokens of the newest records, each in order."""
        columns = (Record.classifier_label, Record.model_id, Record.token)
        newest = select(*columns).order_by(Record.time.desc(), Record.id.desc()).limit(NEWEST)
        with self._store._reading() as connection:
            rows = connection.execute(newest).all()
        return {
            name: sorted({str(row[i]) for row in rows if row[i] is not None})[:CHOICES]
            for i, name in enumerate(("classes", "models", "tokens"))
        }
