"""The page on what a second opinion adds, against its records."""

from __future__ import annotations

from pathlib import Path

from opinion_tables import page

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_records_give() -> None:
    written = (ROOT / "docs" / "second-opinion.md").read_text(encoding="utf-8")
    lines = page()
    assert sum(line.startswith("| profile") for line in lines) >= 4
    assert written == "\n".join(lines) + "\n", "run `make tables`"
