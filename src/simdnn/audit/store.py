"""The audit store: verdicts in, records out, and what a human says of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Self, get_args

from sqlalchemy import Connection, Engine, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from simdnn.audit.engine import connect, file_of, name
from simdnn.audit.images import ImageFolder
from simdnn.audit.schema import Record
from simdnn.audit.upgrade import upgrade
from simdnn.errors import AuditError
from simdnn.guard.verdict import Kind, Neighbour, Verdict

VERDICTS: tuple[str, ...] = get_args(Kind)
"""What a guard says."""

HUMAN_LABELS = ("attack", "clean")
"""What a human may say of a record; ``"clean"`` is a false alarm."""


@dataclass(frozen=True)
class AuditRecord:
    """One verdict as it was kept.

    Attributes
    ----------
    id : number in the store
    time : when it was kept, in UTC
    model_id : the guard that said it
    path ... error : as in :class:`simdnn.guard.verdict.Verdict`
    image_sha256 : hash of the image's bytes, where they were given
    human_label : what a human found later, ``"attack"`` or ``"clean"``
    human_class : the class that the human saw
    labelled_by, labelled_at, note : who, when, and any remark
    """

    id: int
    time: datetime
    model_id: str
    path: str
    verdict: str
    label: str | None
    classifier_label: str | None
    score: float | None
    p_value: float | None
    threshold: float | None
    prototype: str | None
    rule: str | None
    evidence: tuple[Neighbour, ...]
    error: str | None
    image_sha256: str | None
    human_label: str | None
    human_class: str | None
    labelled_by: str | None
    labelled_at: datetime | None
    note: str | None

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain values, ready for JSON; times in ISO 8601."""
        plain = asdict(self)
        plain["evidence"] = list(plain["evidence"])
        plain["time"] = self.time.isoformat()
        plain["labelled_at"] = None if self.labelled_at is None else self.labelled_at.isoformat()
        return plain


FIELDS = tuple(field.name for field in fields(AuditRecord))
"""Names of a record's fields, in the order of exports."""


class AuditStore:
    """Keeps verdicts; made by :meth:`open`, to be used in a ``with`` statement.

    Several processes may write at once. When :meth:`record` returns, the record is on the disk.
    """

    def __init__(self, engine: Engine, images: ImageFolder | None) -> None:
        self._engine = engine
        self._images = images

    @classmethod
    def open(cls, target: str | Path, *, images: Path | None = None, create: bool = True) -> Self:
        """Open a store, and bring its schema up to date.

        Parameters
        ----------
        target : a file, or a database URL such as ``postgresql+psycopg://user@host/database``
        images : folder in which the images themselves are kept, by the hash of their content
        create : whether a file that does not exist is made

        Raises
        ------
        AuditError
            If it cannot be opened, is no audit store, or was written by a newer version.
        """
        engine = connect(target)
        file = file_of(engine)
        if file is not None and not create and not file.exists():
            raise AuditError(f"there is no audit store {file}; `simdnn check --audit {file}` makes one")
        try:
            upgrade(engine)
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
        image : the image file's bytes; their hash is kept, and they too if the store has a folder for images
        """
        return self.record_all([(verdict, image)], model_id=model_id)[0]

    def record_all(self, verdicts: Iterable[tuple[Verdict, bytes | None]], *, model_id: str) -> list[int]:
        """Keep verdicts with their images in one go, all or none; return their numbers."""
        rows = [
            verdict.as_dict()
            | {
                "path": verdict.path.encode(errors="backslashreplace").decode(),  # a name need not be Unicode
                "time": datetime.now(UTC),
                "model_id": model_id,
                "image_sha256": self._keep(image),
            }
            for verdict, image in verdicts
        ]
        with self._writing() as connection:
            return [
                int(connection.execute(insert(Record).values(**row).returning(Record.id)).scalar_one())
                for row in rows
            ]

    def records(
        self,
        *,
        verdict: str | None = None,
        label: str | None = None,
        unlabelled: bool = False,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> list[AuditRecord]:
        """Return records, newest first.

        Parameters
        ----------
        verdict : only those with this verdict
        label : only those that a human labelled so
        unlabelled : only those that no human has labelled
        since : only those kept at this time or later
        limit : how many at most

        Raises
        ------
        AuditError
            If there is no such verdict or label.
        """
        _expect("verdict", verdict, VERDICTS)
        _expect("label", label, HUMAN_LABELS)
        query = select(Record.__table__).order_by(Record.id.desc()).limit(limit)
        if verdict is not None:
            query = query.where(Record.verdict == verdict)
        if label is not None:
            query = query.where(Record.human_label == label)
        if unlabelled:
            query = query.where(Record.human_label.is_(None))
        if since is not None:
            query = query.where(Record.time >= since)
        with self._reading() as connection:
            return [_from_row(row._asdict()) for row in connection.execute(query)]

    def get(self, record_id: int) -> AuditRecord:
        """Return one record; AuditError if there is none of that number."""
        with self._reading() as connection:
            row = connection.execute(select(Record.__table__).where(Record.id == record_id)).first()
            if row is None:
                raise self._unknown(connection, record_id)
            return _from_row(row._asdict())

    def label(
        self,
        record_id: int,
        human_label: str,
        *,
        by: str | None = None,
        human_class: str | None = None,
        note: str | None = None,
    ) -> AuditRecord:
        """Say what a human found: an attack, or a clean image and so a false alarm; return the record.

        Raises
        ------
        AuditError
            If there is no such record or label.
        """
        _expect("label", human_label, HUMAN_LABELS)
        said = {
            "human_label": human_label,
            "human_class": human_class,
            "labelled_by": by,
            "labelled_at": datetime.now(UTC),
            "note": note,
        }
        with self._writing() as connection:
            if not connection.execute(update(Record).where(Record.id == record_id).values(**said)).rowcount:
                raise self._unknown(connection, record_id)
        return self.get(record_id)

    def image(self, record: AuditRecord) -> bytes | None:
        """Return the image of a record; None if none was kept, AuditError if it has gone or was altered."""
        if record.image_sha256 is None or self._images is None:
            return None
        return self._images.get(record.image_sha256)

    def _keep(self, image: bytes | None) -> str | None:
        if image is None:
            return None
        return sha256(image).hexdigest() if self._images is None else self._images.put(image)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._checked(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._checked(), self._engine.execution_options(reading=True).connect() as connection:
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


def _expect(what: str, given: str | None, known: tuple[str, ...]) -> None:
    if given is not None and given not in known:
        raise AuditError(f"expected the {what} {' or '.join(known)}; got {given!r}")


def _from_row(row: dict[str, Any]) -> AuditRecord:
    return AuditRecord(**row | {"evidence": tuple(Neighbour(**plain) for plain in row["evidence"])})


def _reason(error: Exception) -> str:
    """First line of what the database said, without the statement and its values."""
    return str(getattr(error, "orig", None) or error).strip().split("\n")[0]
