"""The page of adaptive attacks, against the records."""

from __future__ import annotations

from pathlib import Path

import pytest

from adaptive_attack_tables import TITLES, section

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("subject", TITLES)
def test_the_page_is_what_the_records_give(subject: str, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "adaptive-attacks.md").read_text(encoding="utf-8")
    lines = section(subject, TITLES[subject], tmp_path)
    assert len(lines) > 30
    assert "\n".join(lines).strip() in page, "run `make tables`"
    assert [path.name for path in tmp_path.iterdir()] == [f"adaptive-attacks-{subject}.png"]
