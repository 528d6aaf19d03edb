"""The tables and the rates of the documentation are those of the committed records."""

from __future__ import annotations

import re
from pathlib import Path

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


def table_of(name: str) -> dict[str, dict[str, float]]:
    """Return a table of methods: the value of each row and column."""
    lines = (ROOT / "docs" / "tables" / f"{name}.md").read_text(encoding="utf-8").splitlines()
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
        area, flagged, tpr = (
            table_of(f"table4-{network}-{metric}") for metric in ("auroc", "flagged", "tpr_at_1")
        )
        own = "sim-dnn profile standard"
        measured = [area[name] for name in area if "sim-dnn" not in name and "mean of attacks" in area[name]]
        best = max(measured, key=lambda cells: cells["mean of attacks"])
        assert len(measured) == 11
        assert shown == [
            area[own]["mean of attacks"], area[own]["worst attack"],
            flagged[own]["mean of attacks"], flagged[own]["worst attack"],
            tpr[own]["mean of attacks"], flagged[own]["clean false-alarm rate"],
            best["mean of attacks"], best["worst attack"],
        ]  # fmt: skip


def test_the_page_about_detection_has_the_rates_of_table_v() -> None:
    page = " ".join((ROOT / "docs" / "detection.md").read_text(encoding="utf-8").split())
    area, flagged = (table_of(f"table5-MobileNet-{metric}") for metric in ("auroc", "flagged"))
    own, best = area["sim-dnn profile standard"], area["neighbours"]
    assert f"the mean is {own['mean of attacks']:.3f} and the worst {own['worst attack']:.3f}" in page
    assert f"BEYOND have {best['mean of attacks']:.3f} and {best['worst attack']:.3f}" in page
    others = {name: row["mean of attacks"] for name, row in area.items() if "sim-dnn" not in name}
    assert max(others, key=lambda name: others[name]) == "neighbours"
    shown = dict.fromkeys(
        ("mifgsm-0.02, 8-bit", "pgd-l2-1, 8-bit", "apgd-ce-0.02, 8-bit", "apgd-dlr-0.02, 8-bit"), 1.0
    )
    shown |= dict.fromkeys(("fmn, 8-bit", "deepfool, float", "fab-0.02, float", "hopskipjump, float"), 1.0)
    shown |= {"cw, float": 0.999, "square-0.04, 8-bit": 0.991}
    assert {name: own[name] for name in shown} == shown
    assert {flagged["sim-dnn profile standard"][name] for name in shown} == {100.0}
    saved = [
        flagged["sim-dnn profile standard"][f"{name}, JPEG 75"]
        for name in ("fgsm-0.04", "pgd-0.02", "pgd-0.04")
    ]
    assert f"{saved[0]} % of FGSM at 0.04, {saved[1]} % of PGD at 0.02, {saved[2]} % of PGD at 0.04" in page
