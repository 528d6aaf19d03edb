"""The committed records as a tidy table, and as a leaderboard that a real browser sorts and filters."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browser import browser, open_page

from simdnn.evaluation.leaderboard import write_leaderboard
from simdnn.evaluation.plan_file import read_plan
from simdnn.evaluation.records import Records
from simdnn.evaluation.tidy import COLUMNS, write_tidy

PLAN = Path(__file__).parents[2] / "experiments" / "plans" / "table4.toml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board")
    plan = read_plan(PLAN)
    measured = [(plan, list(Records(plan.records)))]
    write_tidy(measured, folder)
    write_leaderboard(measured, folder)
    return folder


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


def test_every_metric_of_every_record_is_a_row(folder: Path) -> None:
    with (folder / "records.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (folder / "records-columns.csv").open(encoding="utf-8") as file:
        assert {row["column"]: row["meaning"] for row in csv.DictReader(file)} == dict(COLUMNS)
    assert list(rows[0]) == list(COLUMNS)
    records = {record["key"]: record for record in Records(read_plan(PLAN).records)}
    assert {row["key"] for row in rows} == set(records)
    for row in rows[::97]:
        record = records[row["key"]]
        assert json.loads(row["parameters"]) == record["parameters"]
        if row["error"]:
            assert row["value"] == row["metric"] == ""
        else:
            assert float(row["value"]) == record["metrics"][row["metric"]]["value"]
            assert int(row["n"]) == record["metrics"][row["metric"]]["n"]


def values(page: Any, column: int) -> list[str]:
    return [cell.inner_text() for cell in page.query_selector_all(f"tbody tr > :nth-child({column})")]


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_sorts_filters_and_shows_records(folder: Path, chromium: Any, width: int) -> None:
    with open_page(chromium, (folder / "leaderboard.html").as_uri(), width) as page:
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.select_option("#network", "MobileNet, imagenette224")
        means = [float(text) for text in values(page, 2) if text != "\N{EN DASH}"]
        assert len(means) >= 12
        assert means == sorted(means, reverse=True)
        page.click("thead button >> text=mean")
        assert [float(text) for text in values(page, 2) if text != "\N{EN DASH}"] == means[::-1]
        page.click("thead button >> text=method")
        assert values(page, 1) == sorted(values(page, 1))
        page.select_option("#attack", "pgd-0.01")
        assert [head.inner_text().split()[0] for head in page.query_selector_all("thead th")] == [
            "method", "pgd-0.01",
        ]  # fmt: skip
        page.select_option("#metric", "flagged")
        assert "in per cent" in page.inner_text("#meaning")
        page.click("tbody a >> nth=0")
        record = json.loads(page.inner_text("dialog pre"))
        assert record["column"] == "pgd-0.01"
        assert page.url.endswith("#" + record["key"])
        assert set(record) >= {"commit", "seed", "hardware", "versions", "state"}
        page.click("dialog button")
        assert not page.is_visible("dialog")
