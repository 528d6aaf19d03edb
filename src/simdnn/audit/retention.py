"""Remove old records with their images, so that the chain can still be verified."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, select

from simdnn.audit.chunks import ROWS, chunks
from simdnn.audit.images import Images
from simdnn.audit.schema import Action, Label, Record
from simdnn.audit.store import AuditStore
from simdnn.audit.verify import RETAIN
from simdnn.errors import InputError

LONGEST = timedelta(days=365 * 1000)
"""No age is longer: calendars end."""


@dataclass(frozen=True)
class Limits:
    """What is retained; a record goes if any limit says so, oldest first, with its image.

    What a person labelled or noted always stays, even where a limit is then exceeded, and counts first.

    Attributes
    ----------
    age : records up to this age, `LONGEST` at most
    count : this many records
    image_bytes : the records with this many bytes of images, each image counted once

    Raises
    ------
    InputError
        If no limit is given, or one is negative, or an age too long.
    """

    age: timedelta | None = None
    count: int | None = None
    image_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.age is None and self.count is None and self.image_bytes is None:
            raise InputError("expected an age, a number of records or of bytes to retain; got none")
        if (self.age or timedelta()) < timedelta() or (self.count or 0) < 0 or (self.image_bytes or 0) < 0:
            raise InputError("expected limits of 0 or more; got a negative one")
        if self.age is not None and self.age > LONGEST:
            raise InputError(f"expected an age of 1000 years at most; got {self.age.days // 365} years")


@dataclass(frozen=True)
class Retained:
    """What retention did, or would do.

    Attributes
    ----------
    removed, kept : numbers of records
    labelled : how many of those kept have a label or a note of a person
    images, image_bytes : images that were removed, and their bytes as far as they are known
    missing : images that no record needs any more, and that were not where the images are
    left : images that no record needs any more, and that were left where they are because ``keep_images`` said so
    """

    removed: int
    kept: int
    labelled: int
    images: int
    image_bytes: int
    missing: int = 0
    left: int = 0


def retain(
    store: AuditStore,
    limits: Limits,
    *,
    by: str | None = None,
    dry_run: bool = False,
    keep_images: bool = False,
) -> Retained:
    """Remove the records that are beyond the limits, and the images that no record needs any more.

    The action that this is holds the chain value at the end of each run of removed records, so that
    :meth:`simdnn.audit.store.AuditStore.verify` steps over them and over nothing else.

    Parameters
    ----------
    store : the store, opened with the place of its images
    limits : what is retained
    by : who removes
    dry_run : whether it is only counted
    keep_images : whether images are left where they are, though no record then says which they were

    Raises
    ------
    InputError
        If records with kept images would go, and the store was opened without the place of these, or none of them is
        there; nothing is removed then.
    AuditError
        If the store or its images cannot be changed.
    """
    images = store.images
    with store._writing() as connection:  # whoever records such an image again waits, and finds it gone
        store._lock(connection, Action)
        store._lock(connection, Record)
        going, labelled, total = _beyond(connection, limits)
        unneeded = _unneeded(connection, going)
        there = [] if keep_images else _images_there(images, unneeded)
        if going and not dry_run:
            runs = list(_runs(connection, sorted(row.id for row in going)))
            store._act(connection, by, RETAIN, f"{len(going)} records", _described(limits), {"removed": runs})
            for some in chunks([row.id for row in going]):
                connection.execute(delete(Record).where(Record.id.in_(some)))
            if images is not None:
                # Now: if one cannot be removed, the records stay, and say which images do.
                for digest in there:
                    images.remove(digest)
    return Retained(
        removed=len(going),
        kept=total - len(going),
        labelled=labelled,
        images=len(there),
        image_bytes=sum(unneeded[digest] for digest in there),
        missing=0 if keep_images else len(unneeded) - len(there),
        left=len(unneeded) if keep_images else 0,
    )


def _images_there(images: Images | None, digests: Collection[str]) -> list[str]:
    """Return those of the images that are where they were kept; InputError if there should be some, and none is."""
    if not digests:
        return []
    if images is None:
        raise InputError(
            f"{len(digests)} images of the records that would go were kept, and nothing else says which they are; say "
            "with --images where they are, so that they go, too, or leave them there with --keep-images"
        )
    there = [digest for digest in digests if images.has(digest)]
    if not there:
        raise InputError(
            f"expected images of the records that would go in {images.where}, found none of {len(digests)}; "
            "check --images, or leave them where they are with --keep-images"
        )
    return there


def _beyond(connection: Connection, limits: Limits) -> tuple[list[Row[Any]], int, int]:
    """Return the records that go, how many have labels, and how many there are."""
    columns = (Record.id, Record.time, Record.image_sha256, Record.image_kept, Record.image_bytes)
    people = set(connection.execute(select(Label.record_id).distinct()).scalars())
    rows: Iterable[Row[Any]] = connection.execute(
        select(*columns).order_by(Record.time.desc(), Record.id.desc()).execution_options(yield_per=ROWS)
    )
    oldest = None if limits.age is None else datetime.now(UTC) - limits.age
    others: list[Row[Any]] = []
    seen: set[str] = set()
    count = held = 0
    for row in rows:
        if row.id in people:
            count, held = count + 1, held + _new_bytes(row, seen)
        else:
            others.append(row)
    labelled, full = count, False
    going: list[Row[Any]] = []
    for row in others:
        full = (
            full
            or (oldest is not None and row.time < oldest)
            or (limits.count is not None and count >= limits.count)
            or (
                limits.image_bytes is not None
                and held + _new_bytes(row, seen, add=False) > limits.image_bytes
            )
        )
        if full:
            going.append(row)
        else:
            count, held = count + 1, held + _new_bytes(row, seen)
    return going, labelled, labelled + len(others)


def _new_bytes(row: Row[Any], seen: set[str], *, add: bool = True) -> int:
    """Return the bytes of a record's image, 0 if it is none or was counted before."""
    if not row.image_kept or row.image_sha256 in seen:
        return 0
    if add:
        seen.add(row.image_sha256)
    return row.image_bytes or 0


def _runs(connection: Connection, numbers: list[int]) -> Iterator[list[int | str]]:
    """Yield [first, last, chain value of the last] of each run of records whose numbers are going."""
    chains = _ends(connection, numbers)
    first = numbers[0]
    for number, following in zip(numbers, [*numbers[1:], 0], strict=True):
        if following != number + 1:
            yield [first, number, chains[number]]
            first = following


def _ends(connection: Connection, numbers: list[int]) -> dict[int, str]:
    going = set(numbers)
    chains: dict[int, str] = {}
    for some in chunks([number for number in numbers if number + 1 not in going]):
        rows = connection.execute(select(Record.id, Record.chain).where(Record.id.in_(some)))
        chains |= {row.id: row.chain for row in rows}
    return chains


def _unneeded(connection: Connection, going: list[Row[Any]]) -> dict[str, int]:
    """Return the images, by hash, that only records which are going refer to, and their bytes."""
    images = {row.image_sha256: row.image_bytes or 0 for row in going if row.image_kept and row.image_sha256}
    needed = _needed(connection, images, {row.id for row in going})
    return {digest: size for digest, size in images.items() if digest not in needed}


def _needed(connection: Connection, digests: Iterable[str], leaving: set[int]) -> set[str]:
    """Return those of the images that a record refers to which is not leaving."""
    needed: set[str] = set()
    for some in chunks(list(digests)):
        rows = connection.execute(
            select(Record.id, Record.image_sha256).where(
                Record.image_sha256.in_(some), Record.image_kept.is_(True)
            )
        )
        needed |= {str(digest) for number, digest in rows if number not in leaving}
    return needed


def _described(limits: Limits) -> dict[str, object]:
    age = None if limits.age is None else limits.age.total_seconds()
    plain = {"seconds": age, "records": limits.count, "image_bytes": limits.image_bytes}
    return {name: value for name, value in plain.items() if value is not None}
