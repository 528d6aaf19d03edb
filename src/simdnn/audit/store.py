"""The audit store: add verdicts and human labels, read records, verify the chain."""

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
"""Number of records in memory at a time."""


class AuditStore:
    """A store of verdicts, opened by :meth:`open` and used in a ``with`` statement.

    Several processes may write at the same time. When :meth:`record` returns, the record is on the disk. Rows are only
    ever added, each chained to the one before it; :meth:`verify` finds later changes.
    """

    def __init__(self, engine: Engine, images: ImageFolder | None) -> None:
        self._engine = engine
        self._images = images

    @classmethod
    def open(
        cls, target: str | Path, *, images: Path | None = None, create: bool = True, read_only: bool = False
    ) -> Self:
        """Open a store, and upgrade its schema if it is older.

        Parameters
        ----------
        target : a file, or a database URL such as ``postgresql+psycopg://user@host/database``
        images : folder for the images themselves; None if only their hashes are stored
        create : whether a file that does not exist is created
        read_only : whether nothing is written, so that no write permission is needed; a store with an older schema is
            refused

        Raises
        ------
        AuditError
            If it cannot be opened, does not exist and is not to be created, is no audit store, or was written by a
            newer version.
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
        """Close all connections."""
        self._engine.dispose()

    def record(self, verdict: Verdict, *, model_id: str, image: bytes | None = None) -> int:
        """Add one verdict; return its number, once it is on the disk.

        Parameters
        ----------
        verdict : the guard's verdict
        model_id : id of the guard
        image : bytes of the checked image; their hash is stored, and the bytes if the store has a folder for images

        Raises
        ------
        AuditError
            If it cannot be written, or the image is not the one of the verdict.
        """
        return self.record_all([(verdict, image)], model_id=model_id)[0]

    def record_all(self, verdicts: Iterable[tuple[Verdict, bytes | None]], *, model_id: str) -> list[int]:
        """Add verdicts with their images in one transaction, all or none; return their numbers; as :meth:`record`."""
        rows = [
            verdict.as_dict() | self._keep(verdict, image) | {"time": datetime.now(UTC), "model_id": model_id}
            for verdict, image in verdicts
        ]
        return self._append(Record, rows)

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
        return self._pages(query.narrowed(query.records(), only), limit)

    def records(self, *, limit: int | None = None, **only: Unpack[query.Selection]) -> list[AuditRecord]:
        """Return the records of :meth:`stream` as a list."""
        return list(self.stream(limit=limit, **only))

    def count(self, **only: Unpack[query.Selection]) -> int:
        """Return the number of records that meet the conditions, as in :meth:`stream`."""
        with self._reading() as connection:
            number: int = connection.execute(query.narrowed(query.count(), only)).scalar_one()
        return number

    def get(self, record_id: int) -> AuditRecord:
        """Return one record by its number; AuditError if there is none."""
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
        """Add a human label to a record; return the record.

        Earlier labels stay in the store; :meth:`labels` returns them.

        Parameters
        ----------
        record_id : number of the record
        human_label : ``"attack"``, or ``"clean"`` for a false alarm
        by, human_class, note : as ``labelled_by``, ``human_class`` and ``note`` of
            :class:`simdnn.audit.records.HumanLabel`

        Raises
        ------
        AuditError
            If there is no such record or label.
        """
        query.expect("label", human_label, HUMAN_LABELS)
        self.get(record_id)  # it must exist; it cannot be deleted later
        row = {
            "record_id": record_id,
            "human_label": human_label,
            "human_class": human_class,
            "labelled_by": by,
            "labelled_at": datetime.now(UTC),
            "note": note,
        }
        self._append(Label, [row])
        return self.get(record_id)

    def labels(self, record_id: int) -> list[HumanLabel]:
        """Return all human labels of a record, oldest first; AuditError if there is no such record."""
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
        """Return the image of a record; None if it was not kept, AuditError if it is missing or was altered."""
        if record.image_sha256 is None or record.image_kept is False or self._images is None:
            return None
        return self._images.get(record.image_sha256)

    def verify(self, *, head: str | None = None) -> Iterator[str]:
        """Verify the hash chains; yield one line for each row that was altered, added or removed.

        Kept images are verified as well if the store was opened with their folder. Somebody who can write the store
        can also recompute the chain. To detect that, pass a ``head``: an earlier chain value from :meth:`heads`, saved
        where they cannot write, which must still be in the store.
        """
        with self._reading() as connection:
            yield from faults(connection, self._images, head)

    def heads(self) -> dict[str, tuple[int, str]]:
        """Return, for records and for labels, the number of rows and the chain value of the last one."""
        with self._reading() as connection:
            rows = connection.execute(select(ChainHead.table_name, ChainHead.number, ChainHead.chain))
            return {table: (number, chain) for table, number, chain in rows}

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
        return {"image_sha256": digest, "image_kept": self._images is not None}

    def _append(self, kind: type[Record | Label], rows: list[dict[str, Any]]) -> list[int]:
        """Add rows, each chained to the one before it; return their numbers."""
        of_table = ChainHead.table_name == kind.__tablename__
        with self._writing() as connection:
            # on servers the lock on this row serialises writers; on SQLite the whole file is locked
            end = select(ChainHead.number, ChainHead.chain).where(of_table).with_for_update()
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
                connection.execute(update(ChainHead).where(of_table).values(number=number, chain=chain))
        return [row["id"] for row in chained]

    def _pages(self, selected: Select[Any], limit: int | None) -> Iterator[AuditRecord]:
        """Read records in pages, each in its own transaction, so that a slow reader blocks nobody."""
        selected = selected.order_by(Record.id.desc())
        page, left = selected, limit
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            with self._reading() as connection:
                rows = connection.execute(page.limit(size)).all()
            for row in rows:
                yield query.from_row(row._asdict())
            if len(rows) < size:
                return
            page = selected.where(Record.id < rows[-1].id)
            del rows  # free the memory before the next page is read
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
    """Convert a value to the type that its column returns, so that the chain value stays the same."""
    return float(value) if isinstance(column.type, Float) and value is not None else value


def _reason(error: Exception) -> str:
    """Return the first line of the database's message, without the statement and its values."""
    return str(getattr(error, "orig", None) or error).strip().split("\n")[0]
