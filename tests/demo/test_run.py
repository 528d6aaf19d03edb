"""The whole demonstration, once, through the command line."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import betabinom
from tests.trained_digits import TrainedDigits
from typer.testing import CliRunner

from simdnn.audit.store import AuditStore
from simdnn.cli import app
from simdnn.demo.run import ATTACKS
from simdnn.demo.text import SCORES
from simdnn.guard.guard import Guard
from simdnn.images.reading import read_image
from simdnn.progress import Progress

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "demo"


@pytest.fixture(scope="module")
def printed(folder: Path, trained_digits: TrainedDigits) -> str:
    """Run the demonstration with the session's network, which is the one that it would train."""

    def copy_weights(images: Path, weights: Path, *, seed: int, progress: Progress) -> None:
        assert len(list(images.rglob("*.png"))) == 599
        progress(599, 599)
        shutil.copy(trained_digits.weights(seed), weights)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("simdnn.demo.run.train_network", copy_weights)
        result = CliRunner().invoke(app, ["demo", "-o", str(folder)])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def record(folder: Path, printed: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return record


@pytest.fixture(scope="module")
def rows(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in record["rows"]}


def test_there_is_a_row_for_each_group(rows: dict[str, dict[str, Any]]) -> None:
    assert list(rows) == ["clean", "noise", "fgsm", "pgd", "ddn"]
    assert rows["pgd"]["parameters"] == {
        "attack": "pgd",
        "eps": 0.1,
        "steps": 20,
        "step_size": 0.02,
        "seed": 0,
    }
    assert rows["clean"]["n"] == 599
    assert rows["fgsm"]["n"] == 599 - round(rows["clean"]["fooled"]["value"] * 599)


def test_attacks_fool_the_network_and_noise_does_not(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["clean"]["fooled"]["value"] < 0.05
    assert rows["noise"]["fooled"]["value"] < 0.02
    assert all(rows[recipe.name]["fooled"]["value"] > 0.9 for recipe in ATTACKS)


def test_attacks_are_detected_and_noise_is_not_taken_for_one(rows: dict[str, dict[str, Any]]) -> None:
    for attacked in ("pgd", "fgsm", "ddn"):
        assert rows[attacked]["auroc"]["low"] > 0.97
        assert rows[attacked]["flagged"]["low"] > 0.9
    assert rows["noise"]["auroc"]["high"] < 0.75
    assert rows["clean"]["detected"]["value"] > 0.85


def test_false_alarms_stay_below_the_bound_for_the_clean_calibration_images(
    folder: Path, record: dict[str, Any], rows: dict[str, dict[str, Any]]
) -> None:
    guard = Guard.load(folder / "guard.simdnn")
    assert record["calibrated"] == guard.training.calibrated == guard.calibration.clean.sum()
    rank = int(record["alpha"] * (record["calibrated"] + 1))
    law = betabinom(599, rank, record["calibrated"] + 1 - rank)
    assert record["false_alarm_bound"] == law.ppf(0.975) / 599
    assert rows["clean"]["flagged"]["value"] <= record["false_alarm_bound"]


def test_attacked_files_are_those_that_were_judged(folder: Path, rows: dict[str, dict[str, Any]]) -> None:
    files = sorted((folder / "attacked" / "pgd").rglob("*.png"))
    assert len(files) == rows["pgd"]["n"]
    guard = Guard.load(folder / "guard.simdnn")
    flagged = [verdict.verdict == "attack" for verdict in guard.check(files)]
    assert sum(flagged) == round(rows["pgd"]["flagged"]["value"] * len(files))
    assert read_image(files[0]).size == (32, 32)


def test_audit_store_holds_what_was_flagged(folder: Path, rows: dict[str, dict[str, Any]]) -> None:
    flagged = sum(round(row["flagged"]["value"] * row["n"]) for row in rows.values())
    with AuditStore.open(folder / "audit.db", images=folder / "audit-images", create=False) as store:
        records = store.records()
        pictures = [store.image(record) for record in records[:20]]
    assert len(records) == flagged
    assert {record.verdict for record in records} == {"attack"}
    assert pictures == [Path(record.path).read_bytes() for record in records[:20]]


def test_what_is_printed_is_what_was_recorded(
    folder: Path, printed: str, record: dict[str, Any], rows: dict[str, dict[str, Any]]
) -> None:
    flagged = rows["clean"]["flagged"]
    assert f"False alarms on clean digits: {100 * flagged['value']:.1f} %" in printed
    assert f"calibrated on\n{record['calibrated']} clean images" in printed
    assert f"at most {100 * record['false_alarm_bound']:.1f} %" in printed
    line = re.search(r"PGD, eps 0.1, 20 steps +(\d+) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)", printed)
    assert line is not None
    pgd = rows["pgd"]
    shares = [f"{100 * pgd[key]['value']:.1f}" for key in ("fooled", "detected", "flagged")]
    assert list(line.groups()) == [str(pgd["n"]), *shares, f"{pgd['auroc']['value']:.3f}"]
    assert f"simdnn check {folder / 'guard.simdnn'} {folder / 'attacked' / 'pgd'}" in printed


class _Sources(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in {"script", "link", "iframe"}
        self.found += [value or "" for name, value in attrs if name in {"src", "href", "xlink:href"}]


def test_report_needs_nothing_outside_itself(folder: Path, printed: str) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    parser = _Sources()
    parser.feed(page)
    assert all(source.startswith(("data:image/", "#")) for source in parser.found)
    assert sum(source.startswith("data:image/png") for source in parser.found) >= 3 * 9
    assert "url(http" not in page
    assert "@import" not in page
    assert len(page) < 2_000_000


def test_report_tells_the_recorded_rates(folder: Path, rows: dict[str, dict[str, Any]]) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    for row in rows.values():
        assert f"{100 * row['flagged']['value']:.1f} %" in page
    assert "Possible attack" in page
    assert SCORES["profile"] in page
    assert SCORES["similarity"] not in page


def test_record_says_where_it_comes_from(record: dict[str, Any]) -> None:
    assert record["seed"] == 0
    assert record["rule"] == "profile"
    assert record["learned"] + record["calibrated"] == 599
    assert record["seconds"] > 0
    assert record["versions"]["torch"]
