"""The audit store: add verdicts and human labels, read records, verify the chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Unpack

from sqlalchemy import select

from simdnn.audit import query
from simdnn.audit.cursor import cursor as cursor_of
from simdnn.audit.labelling import Labels
from simdnn.audit.records import AuditRecord, Origin, Page
from simdnn.audit.schema import Record
from simdnn.errors import AuditError, InputError
from simdnn.guard.verdict import Verdict

PAGE = 1000
"""Number of records in memory at a time."""

SIMILAR = 500
"""Records among which similar ones are looked for."""


class AuditStore(Labels):
    """A store of verdicts, opened by :meth:`open` and used in a ``with`` statement.

    Several processes may write at the same time. When :meth:`record` returns, the record is on the disk. Rows are only
    ever added, each chained to the one before it; :meth:`verify` finds later changes. What
    :func:`simdnn.audit.retention.retain` removes is noted in the chain.
    """

    def record(
        self,
        verdict: Verdict,
        *,
        model_id: str,
        image: bytes | None = None,
        origin: Origin | None = None,
    ) -> int:
        """Add one verdict; return its number, once it is on the disk.

        Parameters
        ----------
        verdict : the guard's verdict
        model_id : id of the guard
        image : bytes of the checked image; their hash is stored, and the bytes if the store has a place for images
        origin : who had it checked, over a service

        Raises
        ------
        AuditError
            If it cannot be written, or the image is not the one of the verdict.
        """
        origins = [] if origin is None else [origin]
        return self.record_all([(verdict, image)], model_id=model_id, origins=origins)[0]

    def record_all(
        self,
        verdicts: Iterable[tuple[Verdict, bytes | None]],
        *,
        model_id: str,
        origins: Sequence[Origin] = (),
    ) -> list[int]:
        """Add verdicts with their images in one transaction, all or none; return their numbers; as :meth:`record`.

        ``origins`` has one of each verdict, or none at all.
        """
        given = list(verdicts)
        if origins and len(origins) != len(given):
            raise InputError(f"expected an origin of each of the {len(given)} verdicts, got {len(origins)}")
        rows = [
            verdict.as_dict()
            | self._keep(verdict, image)
            | vars(origin)
            | {"time": datetime.now(UTC), "model_id": model_id}
            for (verdict, image), origin in zip(given, origins or [Origin()] * len(given), strict=True)
        ]
        with self._writing() as connection:
            numbers = self._append(connection, Record, rows)
        if self._images is not None:
            for row, (_, image) in zip(rows, given, strict=True):
                # retention may have removed it before the record was there that needs it
                if image is not None and not self._images.has(row["image_sha256"]):
                    self._images.put(image)
        return numbers

    def stream(self, *, limit: int | None = None, **only: Unpack[query.Selection]) -> Iterator[AuditRecord]:
        """Iterate over records, newest first, with a limited number in memory.

        Parameters
        ----------
        limit : largest number of records
        **only : conditions, as in :class:`simdnn.audit.query.Selection`

        Raises
        ------
        AuditError
            If there is no such verdict or label.
        """
        left, after = limit, None
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            page = self.page(after=after, size=size, **only)
            yield from page.records
            if page.next is None:
                return
            after = page.next
            left = None if left is None else left - size
            del page  # free the memory before the next page is read

    def records(self, *, limit: int | None = None, **only: Unpack[query.Selection]) -> list[AuditRecord]:
        """Return the records of :meth:`stream` as a list."""
        return list(self.stream(limit=limit, **only))

    def page(self, *, after: str | None = None, size: int = 50, **only: Unpack[query.Selection]) -> Page:
        """Return one page of records, newest first, in a transaction of its own.

        Parameters
        ----------
        after : cursor of the page before, its ``next``; None for the first page
        size : largest number of records
        **only : conditions, as in :class:`simdnn.audit.query.Selection`

        Raises
        ------
        AuditError
            If there is no such verdict or label.
        InputError
            If it is no cursor.
        """
        with self._reading() as connection:
            rows = connection.execute(query.page(only, after, size + 1)).all()
        records = tuple(query.from_row(row._asdict()) for row in rows[:size])
        more = len(rows) > size and bool(records)
        return Page(records, cursor_of(records[-1].time, records[-1].id) if more else None)

    def count(self, **only: Unpack[query.Selection]) -> int:
        """Return the number of records that meet the conditions, as in :meth:`stream`."""
        with self._reading() as connection:
            number: int = connection.execute(query.count(only)).scalar_one()
        return number

    def around(self, record: AuditRecord, **only: Unpack[query.Selection]) -> tuple[int | None, int | None]:
        """Return the numbers of the next newer and the next older record of a selection; None where there is none."""
        with self._reading() as connection:
            newer, older = (
                connection.execute(
                    query.neighbour(only, record.time, record.id, newer=newer)
                ).scalar_one_or_none()
                for newer in (True, False)
            )
        return newer, older

    def similar(self, record: AuditRecord, *, limit: int = 12) -> list[tuple[AuditRecord, float]]:
        """Return flagged records like one, with their similarity in (0, 1], most similar first.

        They are those of the newest :data:`SIMILAR` with the same most similar prototype; the similarity is the cosine
        between their similarities to the prototypes of their evidence, 1 for the very same image.
        """
        if record.prototype is None:
            return []
        same = (
            select(Record.id)
            .where(Record.prototype == record.prototype, Record.id != record.id, Record.verdict == "attack")
            .order_by(Record.time.desc(), Record.id.desc())
            .limit(SIMILAR)
            .subquery()
        )
        with self._reading() as connection:
            rows = connection.execute(query.records().where(Record.id.in_(select(same.c.id)))).all()
        found = [query.from_row(row._asdict()) for row in rows]
        rated = [(other, _likeness(record, other)) for other in found]
        return sorted(rated, key=lambda one: (-one[1], -one[0].id))[:limit]

    def image(self, record: AuditRecord) -> bytes | None:
        """Return the image of a record; None if it was not kept, AuditError if it is missing or was altered."""
        if record.image_sha256 is None or record.image_kept is False or self._images is None:
            return None
        return self._images.get(record.image_sha256)

    def _keep(self, verdict: Verdict, image: bytes | None) -> dict[str, Any]:
        checked = verdict.image_sha256
        if image is None:
            return {"image_sha256": checked, "image_kept": False}
        digest = sha256(image).hexdigest()
        if checked not in (None, digest):
            raise AuditError(
                f"expected the image that was checked, whose hash is {checked}; got one with the hash {digest}"
            )
        if self._images is not None:
            self._images.put(image)
        return {
            "image_sha256": digest,
            "image_kept": self._images is not None,
            "image_bytes": len(image),
        }


def _likeness(one: AuditRecord, other: AuditRecord) -> float:
    if one.image_sha256 is not None and one.image_sha256 == other.image_sha256:
        return 1.0
    a, b = ({seen.prototype: seen.similarity for seen in record.evidence} for record in (one, other))
    norms = [sum(value**2 for value in seen.values()) ** 0.5 for seen in (a, b)]
    dot = sum(value * b.get(name, 0.0) for name, value in a.items())
    return float(min(1.0, dot / (norms[0] * norms[1]))) if all(norms) else 0.0
