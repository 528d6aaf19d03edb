"""The audit store: verdicts in, records out, and what a human says of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Self, Unpack

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Float,
    Select,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

from simdnn.audit import query
from simdnn.audit.chain import link, storable
from simdnn.audit.engine import connect, file_of, name, reading
from simdnn.audit.files import create_private
from simdnn.audit.images import ImageFolder
from simdnn.audit.records import HUMAN_LABELS, AuditRecord, HumanLabel
from simdnn.audit.schema import ChainHead, Label, Record
from simdnn.audit.upgrade import require_newest, upgrade
from simdnn.audit.verify import faults
from simdnn.errors import AuditError
from simdnn.guard.verdict import Verdict

PAGE = 1000
"""Records that are held at a time where all are read."""


class AuditStore:
    """Keeps verdicts; made by :meth:`open`, to be used in a ``with`` statement.

    Several processes may write at once. When :meth:`record` returns, the record is on the disk. Rows are only ever
    added, each chained to the one before it; :meth:`verify` finds what was changed afterwards.
    """

    def __init__(self, engine: Engine, images: ImageFolder | None) -> None:
        self._engine = engine
        self._images = images

    @classmethod
    def open(
        cls, target: str | Path, *, images: Path | None = None, create: bool = True, read_only: bool = False
    ) -> Self:
        """Open a store, and bring its schema up to date.

        Parameters
        ----------
        target : a file, or a database URL such as ``postgresql+psycopg://user@host/database``
        images : folder in which the images themselves are kept, by the hash of their content
        create : whether a file that does not exist is made
        read_only : change nothing, nor need the right to; a store of an older schema is refused

        Raises
        ------
        AuditError
            If it cannot be opened, is no audit store, or was written by a newer version.
        """
        engine = connect(target, read_only=read_only)
        file = file_of(engine)
        if file is not None and not file.exists():
            if read_only or not create:
                raise AuditError(f"there is no audit store {file}; `simdnn check --audit {file}` makes one")
            create_private(file)
        try:
            require_newest(engine) if read_only else upgrade(engine)
        except (SQLAlchemyError, OSError) as error:
            engine.dispose()
            raise AuditError(f"cannot open the audit store {name(engine)}: {_reason(error)}") from error
        except AuditError:
            engine.dispose()
            raise
        return cls(engine, None if images is None else ImageFolder(images))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def record(self, verdict: Verdict, *, model_id: str, image: bytes | None = None) -> int:
        """Keep one verdict and return its number, once it is on the disk.

        Parameters
        ----------
        verdict : what the guard said
        model_id : which guard
        image : the bytes that were judged; their hash is kept, and they too if the store has a folder for images

        Raises
        ------
        AuditError
            If it cannot be kept, or the image is not the one that the verdict is about.
        """
        return self.record_all([(verdict, image)], model_id=model_id)[0]

    def record_all(self, verdicts: Iterable[tuple[Verdict, bytes | None]], *, model_id: str) -> list[int]:
        """Keep verdicts with their images in one go, all or none; return their numbers."""
        rows = [
            verdict.as_dict() | self._keep(verdict, image) | {"time": datetime.now(UTC), "model_id": model_id}
            for verdict, image in verdicts
        ]
        return self._append(Record, rows)

    def stream(self, *, limit: int | None = None, **only: Unpack[query.Selection]) -> Iterator[AuditRecord]:
        """Return records one by one, newest first, of which few are held at a time.

        Parameters
        ----------
        limit : how many at most
        **only : which ones, as in :class:`simdnn.audit.query.Selection`

        Raises
        ------
        AuditError
            If there is no such verdict or label.
        """
        return self._pages(query.narrowed(query.records(), only), limit)

    def records(self, *, limit: int | None = None, **only: Unpack[query.Selection]) -> list[AuditRecord]:
        """Return what :meth:`stream` does, as a list."""
        return list(self.stream(limit=limit, **only))

    def count(self, **only: Unpack[query.Selection]) -> int:
        """Return how many records there are; ``only`` says which, as in :meth:`stream`."""
        with self._reading() as connection:
            number: int = connection.execute(query.narrowed(query.count(), only)).scalar_one()
        return number

    def get(self, record_id: int) -> AuditRecord:
        """Return one record; AuditError if there is none of that number."""
        with self._reading() as connection:
            row = connection.execute(query.records().where(Record.id == record_id)).first()
            if row is None:
                raise self._unknown(connection, record_id)
            return query.from_row(row._asdict())

    def label(
        self,
        record_id: int,
        human_label: str,
        *,
        by: str | None = None,
        human_class: str | None = None,
        note: str | None = None,
    ) -> AuditRecord:
        """Add what a human found: an attack, or a clean image and so a false alarm; return the record.

        Earlier labels stay in the store; :meth:`labels` returns them.

        Raises
        ------
        AuditError
            If there is no such record or label.
        """
        query.expect("label", human_label, HUMAN_LABELS)
        self.get(record_id)  # records are never removed: one that is there stays there
        said = {
            "record_id": record_id,
            "human_label": human_label,
            "human_class": human_class,
            "labelled_by": by,
            "labelled_at": datetime.now(UTC),
            "note": note,
        }
        self._append(Label, [said])
        return self.get(record_id)

    def labels(self, record_id: int) -> list[HumanLabel]:
        """Return all that humans said of a record, oldest first; AuditError if there is no such record."""
        table = Label.__table__
        columns = [table.c[field.name] for field in fields(HumanLabel)]
        with self._reading() as connection:
            rows = connection.execute(
                select(*columns).where(table.c.record_id == record_id).order_by(table.c.id)
            ).all()
        if not rows:
            self.get(record_id)
        return [HumanLabel(**row._asdict()) for row in rows]

    def image(self, record: AuditRecord) -> bytes | None:
        """Return the image of a record; None if none was kept, AuditError if it has gone or was altered."""
        if record.image_sha256 is None or record.image_kept is False or self._images is None:
            return None
        return self._images.get(record.image_sha256)

    def verify(self, *, head: str | None = None) -> Iterator[str]:
        """Walk the hash chains and yield one line for each row that was altered, added or is missing.

        Kept images are read, too, where the store was opened with their folder. Whoever can write the store can
        also compute the chain anew; what shows that is a ``head``, an earlier chain value from :meth:`heads` that
        was noted where they cannot write: it must still be there.
        """
        with self._reading() as connection:
            yield from faults(connection, self._images, head)

    def heads(self) -> dict[str, tuple[int, str]]:
        """Return how many records and labels there are, and the chain value of the last of each."""
        with self._reading() as connection:
            rows = connection.execute(select(ChainHead.table_name, ChainHead.number, ChainHead.chain))
            return {table: (number, chain) for table, number, chain in rows}

    def _keep(self, verdict: Verdict, image: bytes | None) -> dict[str, Any]:
        judged = verdict.image_sha256
        if image is None:
            return {"image_sha256": judged, "image_kept": False}
        digest = sha256(image).hexdigest()
        if judged not in (None, digest):
            raise AuditError(
                f"expected the image that was judged, whose hash is {judged}; got one of hash {digest}"
            )
        if self._images is not None:
            self._images.put(image)
        return {"image_sha256": digest, "image_kept": self._images is not None}

    def _append(self, kind: type[Record | Label], rows: list[dict[str, Any]]) -> list[int]:
        """Add rows, each chained to the one before it, and return their numbers."""
        at = ChainHead.table_name == kind.__tablename__
        with self._writing() as connection:
            # the lock on this row lets servers' writers follow one another; SQLite's have locked the whole file
            end = select(ChainHead.number, ChainHead.chain).where(at).with_for_update()
            number, chain = connection.execute(end).one()
            chained = []
            for row in rows:
                number += 1
                values = {column.name: _value(row.get(column.name), column) for column in kind.__table__.c}
                full = storable(values) | {"id": number}
                chain = link(chain, full)
                chained.append(full | {"chain": chain})
            if chained:
                connection.execute(insert(kind), chained)
                connection.execute(update(ChainHead).where(at).values(number=number, chain=chain))
        return [row["id"] for row in chained]

    def _pages(self, found: Select[Any], limit: int | None) -> Iterator[AuditRecord]:
        """Read by numbers, each page in a transaction of its own: a slow reader holds nobody up."""
        found = found.order_by(Record.id.desc())
        page, left = found, limit
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            with self._reading() as connection:
                rows = connection.execute(page.limit(size)).all()
            for row in rows:
                yield query.from_row(row._asdict())
            if len(rows) < size:
                return
            page = found.where(Record.id < rows[-1].id)
            del rows  # before the next are read
            left = None if left is None else left - size

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._checked(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._checked(), reading(self._engine).connect() as connection:
            yield connection

    @contextmanager
    def _checked(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OverflowError) as error:  # the latter: a number that no record can have
            raise AuditError(f"the audit store {name(self._engine)} failed: {_reason(error)}") from error

    @staticmethod
    def _unknown(connection: Connection, record_id: int) -> AuditError:
        low, high = connection.execute(select(func.min(Record.id), func.max(Record.id))).one()
        held = "it is empty" if low is None else f"its numbers go from {low} to {high}"
        return AuditError(f"no record {record_id} in the audit store; {held}")


def _value(value: Any, column: ColumnElement[Any]) -> Any:
    """Return a value as its column gives it back: the chain must not change on the way."""
    return float(value) if isinstance(column.type, Float) and value is not None else value


def _reason(error: Exception) -> str:
    """First line of what the database said, without the statement and its values."""
    return str(getattr(error, "orig", None) or error).strip().split("\n")[0]
