"""The tables and the rates of the documentation are those of the committed records."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import fmean

import pytest

from simdnn.evaluation.plan_file import read_plan
from simdnn.evaluation.records import Records
from simdnn.evaluation.render import MARKS, markdown
from simdnn.evaluation.tables import tables

ROOT = Path(__file__).parents[2]
PLANS = sorted((ROOT / "experiments" / "plans").glob("*.toml"))
MARKED = "".join(MARKS.values())


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


def table_of(network: str, metric: str) -> dict[str, dict[str, float]]:
    """Return a table of methods: the value of each row and column."""
    lines = (
        (ROOT / "docs" / "tables" / f"table4-{network}-{metric}.md").read_text(encoding="utf-8").splitlines()
    )
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"
    ]
    return {
        label: {
            name: float(cell.rstrip(MARKED))
            for name, cell in zip(head[1:], cells, strict=True)
            if re.fullmatch(rf"[\d.]+[{MARKED}]?", cell)
        }
        for label, *cells in rows
    }


def test_the_page_about_detection_has_the_rates_of_the_tables() -> None:
    page = (ROOT / "docs" / "detection.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .*\(tables/table4-(\w+)-auroc\.md\).*$", page, re.MULTILINE)
    assert rows == ["MobileNet", "ResNet", "SqueezeNet", "ShuffleNet", "MnasNet", "ResNet_cifar10"]
    for network in rows:
        (line,) = re.findall(rf"^\| .*\(tables/table4-{network}-auroc\.md\).*$", page, re.MULTILINE)
        shown = [float(number) for number in re.findall(r"\d+\.\d+", line.split("| [AUROC]")[0])]
        area, flagged, tpr = (table_of(network, metric) for metric in ("auroc", "flagged", "tpr_at_1"))
        own = "sim-dnn profile standard"
        measured = [area[name] for name in area if "sim-dnn" not in name and "mean of attacks" in area[name]]
        best = max(measured, key=lambda cells: cells["mean of attacks"])
        assert len(measured) == (10 if network in ("ResNet", "SqueezeNet") else 11)
        assert shown == [
            area[own]["mean of attacks"], area[own]["worst attack"],
            flagged[own]["mean of attacks"], flagged[own]["worst attack"],
            tpr[own]["mean of attacks"], flagged[own]["clean false-alarm rate"],
            best["mean of attacks"], best["worst attack"],
        ]  # fmt: skip


def test_the_page_about_detection_has_the_rates_of_table_v() -> None:
    page = (ROOT / "docs" / "detection.md").read_text(encoding="utf-8")
    lines = (ROOT / "docs" / "tables" / "table5-MobileNet-auroc.md").read_text(encoding="utf-8").splitlines()
    means = {
        name: fmean(float(cell) for cell in re.findall(rf"\| (\d\.\d{{3}})[{MARKED}]? ", line)[:9])
        for line in lines
        for name in ("sim-dnn profile standard", "mahalanobis")
        if line.startswith(f"| {name} |")
    }
    assert f"The mean is {means['sim-dnn profile standard']:.3f}" in page
    assert f"the best of the five baselines measured on all nine, is {means['mahalanobis']:.3f}" in page
