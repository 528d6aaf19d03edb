"""The page on speed, against its records."""

from __future__ import annotations

from pathlib import Path

from speed_tables import SECTIONS, page

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_records_give() -> None:
    written = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    lines = page()
    assert [line[3:] for line in lines if line.startswith("## ")] == list(SECTIONS)
    assert written == "\n".join(lines) + "\n", "run `make tables`"
