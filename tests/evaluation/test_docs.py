"""The tables of the documentation are those of the committed records."""

from __future__ import annotations

from pathlib import Path

import pytest

from simdnn.evaluation.plan import read_plan
from simdnn.evaluation.records import Records
from simdnn.evaluation.render import markdown
from simdnn.evaluation.tables import tables

ROOT = Path(__file__).parents[3]
PLANS = sorted((ROOT / "experiments" / "plans").glob("*.toml"))


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_each_table_is_what_its_records_say(path: Path) -> None:
    records = list(Records(ROOT / "experiments" / "records" / f"{path.stem}.jsonl"))
    for table in tables(read_plan(path), records):
        page = ROOT / "docs" / "tables" / f"{table.name}.md"
        assert page.read_text(encoding="utf-8") == markdown(table), "run `make tables`"


def test_no_page_is_left_over() -> None:
    made = {
        f"{table.name}.md"
        for path in PLANS
        for table in tables(read_plan(path), Records(ROOT / "experiments" / "records" / f"{path.stem}.jsonl"))
    }
    assert {page.name for page in (ROOT / "docs" / "tables").iterdir()} == made
