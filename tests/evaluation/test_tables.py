"""Tables and the paper's own cells."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from simdnn.evaluation.freshness import describe
from simdnn.evaluation.paper_tables import COLUMNS, OURS, TABLES, paper_cell
from simdnn.evaluation.plan import Plan
from simdnn.evaluation.plan_file import read_plan
from simdnn.evaluation.records import Record
from simdnn.evaluation.render import comma_separated, latex, markdown
from simdnn.evaluation.tables import tables

PLANS = sorted((Path(__file__).parents[2] / "experiments" / "plans").glob("*.toml"))


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    path = tmp_path / "two.toml"
    path.write_text(
        """
        title = "Two & more"
        paper = "I"
        layout = "networks"
        metrics = ["eq_14"]
        methods = ["none", "sim-dnn similarity"]
        attacks = [{ attack = "fgsm", eps = 0.01 }]
        [datasets.some]
        fit = "a"
        test = "b"
        [networks.VGG]
        dataset = "some"
        backbone = "vgg16"
        note = "trained by us"
        """,
        encoding="utf-8",
    )
    return read_plan(path)


def record(plan: Plan, label: str, value: float, method: str = "none", **other: Any) -> Record:
    """A record of today's code from a clean commit, but for what is given."""
    (column,) = (column for column in plan.columns if column.label == label)
    metrics = {"eq_14": {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 50}}
    described = describe(plan, plan.networks[0], column, method)
    return described | {"commit": "abc", "metrics": metrics} | other


def test_the_papers_cells_stand_beside_ours(plan: Plan) -> None:
    (table,) = tables(plan, [record(plan, "clean", 0.5), record(plan, "fgsm-0.01", 0.25)])
    text = markdown(table)
    assert "| VGG (some) | 50.0 [68.7] | 25.0 [0.0] |" in text
    assert "| VGG (some), sim-dnn similarity | \N{EN DASH} | \N{EN DASH} |" in text
    assert "| the paper's Sim-DNN |  [89.9] |  [71.2] |" in text
    assert "- VGG: trained by us" in text
    assert "not measured (2 cells, the first VGG (some), sim-dnn similarity: clean)" in text


def test_what_was_measured_later_counts_and_a_value_before_an_error(plan: Plan) -> None:
    broken = record(plan, "clean", 0.1)
    del broken["metrics"]
    records = [record(plan, "clean", 0.2), record(plan, "clean", 0.3), broken | {"error": "no weights"}]
    (table,) = tables(plan, records)
    assert table.rows[0][1][0].value == 0.3


def test_a_broken_cell_gives_its_reason(plan: Plan) -> None:
    broken = record(plan, "fgsm-0.01", 0.1) | {"error": "out of memory"}
    (table,) = tables(plan, [broken])
    assert table.rows[0][1][1].error == "out of memory"
    assert "out of memory (VGG (some): fgsm-0.01)" in markdown(table)


def test_latex_and_csv_hold_the_same(plan: Plan) -> None:
    (table,) = tables(plan, [record(plan, "clean", 0.5), record(plan, "fgsm-0.01", 0.25)])
    text = latex(table)
    assert r"Two \& more" in text
    assert r"VGG (some) & 50.0 [68.7] & 25.0 [0.0] \\" in text
    lines = comma_separated(table).splitlines()
    assert lines[1] == "VGG (some),clean,eq_14,0.5,0.4,0.6,50,0.687,,"


def test_values_of_other_code_and_of_changed_trees_are_marked(plan: Plan) -> None:
    stale = record(plan, "clean", 0.5, parameters={"other": 1})
    dirty = record(plan, "fgsm-0.01", 0.25, commit="abc with changes")
    old = record(plan, "clean", 0.75, "sim-dnn similarity", version=0)
    (table,) = tables(plan, [stale, dirty, old, record(plan, "fgsm-0.01", 0.125, "sim-dnn similarity")])
    text = markdown(table)
    assert "| VGG (some) | 50.0\N{DAGGER} [68.7] | 25.0\N{DOUBLE DAGGER} [0.0] |" in text
    assert "| VGG (some), sim-dnn similarity | 75.0\N{DAGGER} | 12.5 |" in text
    assert "- \N{DAGGER} of an earlier version of the method or the plan" in text
    assert "- \N{DOUBLE DAGGER} from a working tree with changes" in text
    assert "\N{DAGGER} of an earlier" in latex(table)
    assert [line.rpartition(",")[2] for line in comma_separated(table).splitlines()[1:5]] == [
        "stale", "dirty", "stale", "",
    ]  # fmt: skip


def test_the_papers_tables_are_whole() -> None:
    assert len(COLUMNS) == len(OURS) == 10
    for rows in TABLES.values():
        assert len(rows) == 7
        assert all(len(cells) == 10 and all(0 <= cell <= 100 for cell in cells) for cells in rows.values())
    assert paper_cell("II", "DenseNet", "pgd-0.01") == 13
    assert paper_cell("III", "Ours", "ddn-60") == 81.1
    assert paper_cell("", "VGG", "clean") is None
    assert paper_cell("I", "SqueezeNet", "clean") is None
    assert paper_cell("I", "VGG", "cw") is None


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_the_plans_that_ship_can_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIMDNN_DATA", raising=False)
    plan = read_plan(path)
    assert plan.name == path.stem
    assert plan.columns[0].kind == "clean"
    labels = [(column.label, column.form, column.through) for column in plan.columns]
    assert len(labels) == len(set(labels))
    if plan.paper:
        rows = {re.sub(r" \(.*", "", network.row) for network in plan.networks}
        assert rows == set(TABLES[plan.paper])
