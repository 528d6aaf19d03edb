"""The tables of the documentation are those of the committed records."""

from __future__ import annotations

from pathlib import Path

import pytest

from simdnn.evaluation.plan_file import read_plan
from simdnn.evaluation.records import Records
from simdnn.evaluation.render import markdown
from simdnn.evaluation.tables import tables

ROOT = Path(__file__).parents[2]
PLANS = sorted((ROOT / "experiments" / "plans").glob("*.toml"))


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_each_table_is_what_its_records_say(path: Path) -> None:
    plan = read_plan(path)
    for table in tables(plan, list(Records(plan.records))):
        page = ROOT / "docs" / "tables" / f"{table.name}.md"
        assert page.read_text(encoding="utf-8") == markdown(table), "run `make tables`"


def test_no_page_is_left_over() -> None:
    made = {
        f"{table.name}.md" for plan in map(read_plan, PLANS) for table in tables(plan, Records(plan.records))
    }
    assert {page.name for page in (ROOT / "docs" / "tables").iterdir()} == made
