"""Export records as CSV, as JSON lines, and with their images as a zip file: in pieces, so that memory stays flat."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from tempfile import TemporaryFile
from typing import Any

from simdnn.audit.records import FIELDS, AuditRecord
from simdnn.errors import AuditError
from simdnn.images.formats import suffix_of

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Texts with which a formula starts in a spreadsheet; the last four are full-width forms of the first four."""


def csv_cell(value: Any) -> Any:
    """Escape a value so that no spreadsheet takes it for a formula: file names may come from an attacker.

    A text that starts like a formula, or with an apostrophe, gets an apostrophe in front. To restore it, remove one
    apostrophe from every text that starts with one. Numbers stay as they are.

    >>> [csv_cell(value) for value in ("=1+1", "'quoted'", "a=b", -0.5)]
    ["'=1+1", "''quoted'", 'a=b', -0.5]
    """
    return f"'{value}" if isinstance(value, str) and value.startswith((*FORMULA, "'")) else value


def as_csv(records: Iterable[AuditRecord]) -> Iterator[bytes]:
    """Yield a header and one row a record, with :func:`csv_cell`. Evidence is JSON."""
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS)
    writer.writeheader()
    for record in records:
        yield _taken(text)
        plain = record.as_dict()
        plain["evidence"] = json.dumps(plain["evidence"])
        writer.writerow({name: csv_cell(value) for name, value in plain.items()})
    yield _taken(text)


def as_json_lines(records: Iterable[AuditRecord]) -> Iterator[bytes]:
    """Yield one JSON object a line and record, without escaping for spreadsheets."""
    for record in records:
        yield json.dumps(record.as_dict()).encode() + b"\n"


def as_zip(
    records: Iterable[AuditRecord], image_of: Callable[[AuditRecord], bytes | None]
) -> Iterator[bytes]:
    """Yield a zip file: each image that is kept as ``images/<number of the record>.<suffix>``, and ``records.jsonl``.

    ``image_of`` is :meth:`simdnn.audit.store.AuditStore.image`. An image that is missing or was altered is left out;
    ``missing.txt`` then says why.
    """
    target = _Pieces()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as file, TemporaryFile() as lines:
        missing = []
        for record in records:
            image = None
            try:
                image = image_of(record)
            except AuditError as error:
                missing.append(f"record {record.id}: {error}\n")
            if image is not None:
                file.writestr(f"images/{record.id}{suffix_of(image)}", image)
            lines.write(json.dumps(record.as_dict()).encode() + b"\n")
            yield target.taken()
        lines.seek(0)
        with file.open(zipfile.ZipInfo("records.jsonl"), "w", force_zip64=True) as member:
            while some := lines.read(1 << 16):
                member.write(some)
                yield target.taken()
        if missing:
            file.writestr("missing.txt", "".join(missing))
    yield target.taken()


class _Pieces(io.RawIOBase):
    """What is written, until it is taken: a zip file can be written without going back in it."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held += data
        return len(data)

    def taken(self) -> bytes:
        held = bytes(self._held)
        self._held.clear()
        return held


def _taken(text: io.StringIO) -> bytes:
    held = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return held
