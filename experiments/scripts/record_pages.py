"""Pages of the documentation that are made from records."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from record import RECORDS


def read(name: str) -> dict[str, Any]:
    """Read a record."""
    found: dict[str, Any] = json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def is_there(name: str) -> bool:
    """Return whether there is such a record."""
    return (RECORDS / f"{name}.json").exists()


def table(heads: list[str], rows: Iterable[list[str]]) -> list[str]:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def write_page(name: str, lines: list[str], description: str | None) -> None:
    """Write a page into the folder that the command line names, ``docs`` by default."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"))
    output = parser.parse_args().output
    (output / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
