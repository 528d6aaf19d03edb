"""What is printed for people: names that may hold anything, and tables."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

WIDE = 10_000
"""Columns where the reader is no screen: one line a row."""


def shown(text: object) -> str:
    r"""Return a text as one printable line: a file's name may hold line breaks, or orders to the terminal.

    >>> shown("a\nb\x1b[2J")
    'a\\nb\\x1b[2J'
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def print_table(table: Table) -> None:
    """Print a table as it is: a name may look like markup or an emoji."""
    Console(markup=False, emoji=False, width=None if sys.stdout.isatty() else WIDE).print(table)
