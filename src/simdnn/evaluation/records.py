"""The records of the benchmark: one line of JSON per cell, one file per table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from simdnn.errors import InputError

Record = dict[str, Any]
"""The metrics of one cell, or the error."""


def cell_key(parts: Mapping[str, Any]) -> str:
    """Return a hash, 16 hexadecimal digits, of everything that determines a cell's value."""
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


class Records:
    """The records of one table; each is written before the next cell is measured.

    A cell that is measured again gets a second record; the last one counts, and comes last. Reading changes nothing.

    Parameters
    ----------
    path
        The file; it is created with the first record. An incomplete last line, from a crash or of a run that is just
        writing it, is ignored; the next record that is added takes its place.

    Raises
    ------
    InputError
        If another line is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._records: dict[str, Record] = {}
        self._ends_whole = False
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            record = _record(line)
            if record is not None:
                self._keep(record)
            elif number < len(lines):
                shown = line[:40].decode(errors="backslashreplace")
                raise InputError(f"{path}, line {number}: expected a record, got {shown!r}")

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    def has(self, key: str) -> bool:
        """Return whether the cell has been measured without an error."""
        return key in self._records and "error" not in self._records[key]

    def get(self, key: str) -> Record:
        """Return the record of a cell; empty if it has none."""
        return self._records.get(key, {})

    def add(self, record: Record) -> None:
        """Append a record, unless it is the same error as before."""
        before = self._records.get(record["key"], {})
        if "error" in record and before.get("error") == record["error"]:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self._ends_whole:
            _end_whole(self.path)
        self._ends_whole = False  # until the line is written: a full disk may cut it off
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, separators=(",", ":")) + "\n")
        self._ends_whole = True
        self._keep(record)

    def _keep(self, record: Record) -> None:
        """Keep a record as the last one."""
        self._records.pop(record["key"], None)
        self._records[record["key"]] = record


def _record(line: bytes) -> Record | None:
    """Return the record of a line; None if it is none."""
    try:
        record: Record = json.loads(line)
        return record if isinstance(record["key"], str) else None
    except (ValueError, KeyError, TypeError):
        return None


def _end_whole(path: Path) -> None:
    """Cut an incomplete last line off; give a complete one that lacks it its line break."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        *whole, last = file.read().split(b"\n")
        if not last:
            return
        if _record(last) is not None:
            file.write(b"\n")  # reading has ended at the end
        else:
            file.truncate(sum(len(line) + 1 for line in whole))
