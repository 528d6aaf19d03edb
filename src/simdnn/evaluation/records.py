"""One record per cell, a line of JSON each, and one file per table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from simdnn.errors import InputError

Record = dict[str, Any]
"""What was measured in one cell, or why that failed."""


def cell_key(parts: Mapping[str, Any]) -> str:
    """Return sixteen hexadecimal digits that change with anything that decides a cell's value."""
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


class Records:
    """The records of one table; each is written before the next cell begins.

    A cell that is measured again has its new record after the old one, and the last one counts.

    Parameters
    ----------
    path
        The file, made where absent. A last line that a crash cut off is dropped.

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
        """Whether the cell is measured; one that failed is not."""
        return key in self._records and "error" not in self._records[key]

    def add(self, record: Record) -> None:
        """Append a record; a failure with the same reason as before is not written again."""
        before = self._records.get(record["key"], {})
        if "error" in record and before.get("error") == record["error"]:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, separators=(",", ":")) + "\n")
        self._records[record["key"]] = record
