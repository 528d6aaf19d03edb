"""A database of tables that only grow, each row chained to the one before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, Engine, Float, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from simdnn.audit import schema
from simdnn.audit.chain import link, storable
from simdnn.audit.chunks import chunks
from simdnn.audit.engine import connect, file_of, name, reading
from simdnn.audit.files import create_private
from simdnn.audit.images import Images, open_images
from simdnn.audit.records import Action
from simdnn.audit.schema import Chained, ChainHead, chained_columns
from simdnn.audit.upgrade import require_newest, upgrade
from simdnn.audit.verify import faults
from simdnn.errors import AuditError


class Ledger:
    """A database opened by :meth:`open` and used in a ``with`` statement; several processes may write at a time."""

    def __init__(self, engine: Engine, images: Images | None) -> None:
        self._engine = engine
        self._images = images

    @classmethod
    def open(
        cls,
        target: str | Path,
        *,
        images: Path | str | None = None,
        create: bool = True,
        read_only: bool = False,
    ) -> Self:
        """Open a store, and upgrade its schema if it is older.

        Parameters
        ----------
        target : a file, or a database URL such as ``postgresql+psycopg://user@host/database``
        images : folder, or URL for fsspec, of the images themselves, which is of this store alone; None if only their
            hashes are stored
        create : whether a file that does not exist is created
        read_only : whether nothing is written, so that no write permission is needed; a store with an older schema is
            refused

        Raises
        ------
        AuditError
            If it cannot be opened, does not exist and is not to be created, is no audit store, or was written by a
            newer version.
        """
        kept = None if images is None else open_images(images)
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
        return cls(engine, kept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @property
    def images(self) -> Images | None:
        """The images that are kept; None if the store was opened without their place."""
        return self._images

    def act(
        self, who: str | None, what: str, target: str, before: object = None, after: object = None
    ) -> int:
        """Note what a person did, as in :class:`simdnn.audit.records.Action`; return its number.

        Raises
        ------
        AuditError
            If it cannot be written.
        """
        with self._writing() as connection:
            return self._act(connection, who, what, target, before, after)

    def actions(
        self,
        *,
        what: Sequence[str] = (),
        target: str | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> list[Action]:
        """Return what people did, newest first.

        Parameters
        ----------
        what, target : those of these kinds, and with this target; default all
        before : those with a lower number
        limit : largest number of actions
        """
        table = schema.Action.__table__
        query = select(*(c for c in table.c if c.name != "chain")).order_by(table.c.id.desc()).limit(limit)
        if what:
            query = query.where(table.c.what.in_(what))
        if target is not None:
            query = query.where(table.c.target == target)
        if before is not None:
            query = query.where(table.c.id < before)
        with self._reading() as connection:
            return [Action(**row._asdict()) for row in connection.execute(query)]

    def verify(self, *, head: str | None = None) -> Iterator[str]:
        """Verify the hash chains; yield one line for each row that was altered, added or removed.

        Kept images are verified as well if the store was opened with their place. Somebody who can write the store
        can also recompute the chain. To detect that, pass a ``head``: an earlier chain value from :meth:`heads`, saved
        where they cannot write, which must still be in the store.
        """
        with self._reading() as connection:
            yield from faults(connection, self._images, head)

    def heads(self) -> dict[str, tuple[int, str]]:
        """Return, for records, labels and actions, the number of the last row and its chain value."""
        with self._reading() as connection:
            rows = connection.execute(select(ChainHead.table_name, ChainHead.number, ChainHead.chain))
            return {table: (number, chain) for table, number, chain in rows}

    def _act(
        self,
        connection: Connection,
        who: str | None,
        what: str,
        target: str,
        before: object = None,
        after: object = None,
    ) -> int:
        row: dict[str, object] = {"time": datetime.now(UTC), "who": who, "what": what, "target": target}
        row |= {"before": before, "after": after}
        return self._append(connection, schema.Action, [row])[0]

    def _append(self, connection: Connection, kind: Chained, rows: Sequence[dict[str, Any]]) -> list[int]:
        """Add rows, each chained to the one before it; return their numbers."""
        number, chain = self._lock(connection, kind)
        columns = [kind.__table__.c[column] for column in chained_columns(kind)]
        chained = []
        for row in rows:
            number += 1
            values = {column.name: _value(row.get(column.name), column) for column in columns}
            full = storable(values) | {"id": number}
            chain = link(chain, full)
            chained.append(full | {"chain": chain})
        for some in chunks(chained):
            connection.execute(insert(kind), some)
        if chained:
            end = update(ChainHead).where(ChainHead.table_name == kind.__tablename__)
            connection.execute(end.values(number=number, chain=chain))
        return [row["id"] for row in chained]

    def _lock(self, connection: Connection, kind: Chained) -> tuple[int, str]:
        """Have other writers of a table wait for this transaction; return the end of its chain.

        On SQLite the whole file is locked as the transaction begins. Whoever locks several tables locks actions first,
        then records, then labels, so that no two wait for each other.
        """
        of_table = ChainHead.table_name == kind.__tablename__
        end = connection.execute(select(ChainHead.number, ChainHead.chain).where(of_table).with_for_update())
        number, chain = end.one()
        return number, chain

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


def _value(value: Any, column: ColumnElement[Any]) -> Any:
    """Convert a value to the type that its column returns, so that the chain value stays the same."""
    return float(value) if isinstance(column.type, Float) and value is not None else value


def _reason(error: Exception) -> str:
    """Return the first line of the database's message, without the statement and its values."""
    return str(getattr(error, "orig", None) or error).strip().split("\n")[0]
