"""Back a store up into one zip file, and restore it, on the same kind of database or another.

The file holds ``store.json`` (schema revision, and number and chain value of the last row of each table), one file of
JSON lines for each table, and the images under ``images/`` by their hashes.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection, Table, func, insert, select, update

from simdnn.audit.chunks import ROWS
from simdnn.audit.schema import Action, Base, ChainHead, Record, UtcDateTime
from simdnn.audit.store import AuditStore
from simdnn.audit.upgrade import newest_revision
from simdnn.audit.verify import faults
from simdnn.errors import AuditError, InputError

_ABOUT = "store.json"


@dataclass(frozen=True)
class Copied:
    """What was copied: ``rows`` of each table, ``images``, and hashes of images that were ``missing`` or altered."""

    rows: dict[str, int]
    images: int
    missing: tuple[str, ...]


def back_up(store: AuditStore, file: BinaryIO) -> Copied:
    """Write all of a store, as it is now, into a zip file, while others go on writing to the store.

    Images are copied if the store was opened with their place.

    Raises
    ------
    AuditError
        If the store cannot be read.
    OSError
        If the file cannot be written.
    """
    rows, kept, missing = {}, 0, []
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        with store._reading() as connection:
            for table in _tables():
                with archive.open(f"{table.name}.jsonl", "w", force_zip64=True) as member:
                    rows[table.name] = 0
                    for row in connection.execute(select(table).execution_options(yield_per=ROWS)):
                        member.write(json.dumps(row._asdict(), default=_time).encode() + b"\n")
                        rows[table.name] += 1
            heads = connection.execute(select(ChainHead.table_name, ChainHead.number, ChainHead.chain)).all()
            kept_images = select(Record.image_sha256).where(Record.image_kept.is_(True)).distinct()
            digests = [str(digest) for digest in connection.execute(kept_images).scalars()]
        about = {
            "revision": newest_revision(),
            "time": datetime.now(UTC).isoformat(),
            "heads": {name: [number, chain] for name, number, chain in heads},
        }
        archive.writestr(_ABOUT, json.dumps(about, indent=2))
        for digest in digests if store.images is not None else ():
            try:
                image = store.images.get(digest) if store.images else b""
            except AuditError:
                missing.append(digest)
                continue
            archive.writestr(f"images/{digest}", image, zipfile.ZIP_STORED)
            kept += 1
    return Copied(rows, kept, tuple(missing))


def restore(file: Path, store: AuditStore) -> Copied:
    """Read a backup into an empty store, all rows or none; the chains must then verify.

    Images are written first, if the store was opened with a place for them.

    Raises
    ------
    InputError
        If the file is no backup, one of another schema, or damaged; no row is written then.
    AuditError
        If the store is not empty, or cannot be written.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            about = json.loads(archive.read(_ABOUT))
            if about["revision"] != newest_revision():
                raise InputError(
                    f"the backup {file} has schema revision {about['revision']}, this version {newest_revision()}; "
                    "restore it with the version that made it, and upgrade the store then"
                )
            images, missing = _restore_images(archive, store)
            with store._writing() as connection:
                _require_empty(connection)
                rows = {table.name: _restore_table(archive, connection, table) for table in _tables()}
                for name, (number, chain) in about["heads"].items():
                    end = update(ChainHead).where(ChainHead.table_name == name)
                    connection.execute(end.values(number=number, chain=chain))
                if (fault := next(faults(connection, None, None), None)) is not None:
                    raise InputError(f"the backup {file} does not verify: {fault}; nothing was restored")
                _continue_numbers(connection)
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"expected a backup that `simdnn audit STORE backup` wrote, got {file}: {error}"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read the backup {file}: {error.strerror}") from error
    return Copied(rows, images, missing)


def _tables() -> list[Table]:
    """Return the tables in an order in which their rows can refer to those before."""
    return [table for table in Base.metadata.sorted_tables if table.name != ChainHead.__tablename__]


def _require_empty(connection: Connection) -> None:
    for kind in (Record, Action):
        if connection.execute(select(func.count()).select_from(kind)).scalar_one():
            raise AuditError("expected an empty store to restore into, got one with records or actions")


def _restore_table(archive: zipfile.ZipFile, connection: Connection, table: Table) -> int:
    times = [column.name for column in table.c if isinstance(column.type, UtcDateTime)]
    number = 0
    with archive.open(f"{table.name}.jsonl") as member:
        lines = iter(member)
        while some := list(islice(lines, ROWS)):
            connection.execute(insert(table), list(_rows(some, times)))
            number += len(some)
    return number


def _rows(lines: list[bytes], times: list[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        row = json.loads(line)
        yield row | {name: datetime.fromisoformat(row[name]) for name in times if row[name] is not None}


def _restore_images(archive: zipfile.ZipFile, store: AuditStore) -> tuple[int, tuple[str, ...]]:
    if store.images is None:
        return 0, ()
    number, wrong = 0, []
    for name in archive.namelist():
        if name.startswith("images/"):
            digest = name.removeprefix("images/")
            if store.images.put(archive.read(name)) != digest:
                wrong.append(digest)
            number += 1
    return number, tuple(wrong)


def _continue_numbers(connection: Connection) -> None:
    """Have a server number the next row after those that were restored, in tables where it numbers them."""
    if connection.dialect.name == "postgresql":
        for table in _tables():
            number = table.c.get("id")
            if number is not None and number is table.autoincrement_column:
                sequence = func.pg_get_serial_sequence(table.name, "id")
                connection.execute(
                    select(func.setval(sequence, select(func.max(number) + 1).scalar_subquery(), False))
                )


def _time(value: object) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()
