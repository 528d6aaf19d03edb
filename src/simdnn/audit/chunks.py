"""Long lists in parts that one SQL statement takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

ROWS = 1000
"""Number of rows in one statement."""

_Item = TypeVar("_Item")


def chunks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Yield the items, at most :data:`ROWS` at a time.

    >>> [len(some) for some in chunks(range(2500))]
    [1000, 1000, 500]
    """
    for start in range(0, len(items), ROWS):
        yield items[start : start + ROWS]
