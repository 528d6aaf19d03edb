"""Cursors: where a page of records ended, as a text for addresses."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from simdnn.errors import InputError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORM = re.compile(r"([0-9]{1,17})-([0-9]{1,10})")


def cursor(time: datetime, number: int) -> str:
    """Return the cursor of a record: its time in microseconds since 1970 and its number.

    >>> cursor(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), 7)
    '1000000-7'
    """
    return f"{(time - _EPOCH) // timedelta(microseconds=1)}-{number}"


def place(text: str) -> tuple[datetime, int]:
    """Return the time and the number of a cursor; InputError if it is none."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise InputError(
            f"expected a cursor that a page gave as its next, such as 1790000000000000-12; got {text[:40]!r}"
        )
    return _EPOCH + timedelta(microseconds=int(found[1])), int(found[2])
