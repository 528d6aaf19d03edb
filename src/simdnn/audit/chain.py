"""The hash chain, by which edited, deleted and inserted rows are detected."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

START = ""
"""Chain value before the first row of a table."""


def link(previous: str, row: Mapping[str, Any]) -> str:
    """Return a row's chain value: SHA-256 of the previous chain value, a line break, and the row as canonical JSON.

    Canonical JSON has sorted keys, only ASCII, no spaces, and times in UTC with microseconds. Columns that are NULL are
    left out, so that columns added by later versions change no chain value. This format must never change.

    >>> link("", {"id": 1, "note": None, "chain": "not part of it"}) == link("", {"id": 1})
    True
    """
    held = {name: value for name, value in row.items() if value is not None and name != "chain"}
    text = json.dumps(held, sort_keys=True, separators=(",", ":"), default=_time)
    return sha256(f"{previous}\n{text}".encode()).hexdigest()


def storable(value: Any) -> Any:
    r"""Return a value that every database stores unchanged: no lone surrogates or NUL in text, no NaN, no -0.0.

    >>> storable(("caf\udce9.png", float("nan"), -0.0))
    ['caf\\udce9.png', None, 0.0]
    """
    match value:
        case str():  # a file's name need not be Unicode
            return value.encode(errors="backslashreplace").decode().replace("\0", r"\x00")
        case float():
            return None if math.isnan(value) else value + 0.0
        case dict():
            return {storable(name): storable(item) for name, item in value.items()}
        case list() | tuple():
            return [storable(item) for item in value]
        case _:
            return value


def _time(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"expected a column of text, numbers, JSON or time; got {type(value).__name__}")
    aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return aware.isoformat(timespec="microseconds")
