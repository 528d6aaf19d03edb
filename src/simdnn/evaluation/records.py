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

    A cell that is measured again gets a second record; the last one counts.

    Parameters
    ----------
    path
        The file; it is created with the first record. An incomplete last line, from a crash, is removed.

    Raises
    ------
    InputError
        If another line is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._records: dict[str, Record] = {}
        lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                record = json.loads(line)
                self._records[record["key"]] = record
            except (ValueError, KeyError, TypeError) as error:
                if number == len(lines):
                    path.write_text("".join(f"{whole}\n" for whole in lines[:-1]), encoding="utf-8")
                    break
                raise InputError(f"{path}, line {number}: expected a record, got {line[:40]!r}") from error

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
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, separators=(",", ":")) + "\n")
        self._records[record["key"]] = record
