"""The benchmark from end to end on a network of digits: plan, run, records, report, gallery."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Simdnn
from tests.trained_digits import TrainedDigits, cache_digits

from simdnn.evaluation.records import Records

pytestmark = pytest.mark.slow

PLAN = """
title = "Smoke"
paper = "I"
metrics = ["auroc", "flagged", "eq_14"]
methods = [
  "none", "bart", "resupnet", "msp", "energy", "mahalanobis", "mahalanobis-multi", "rmd", "knn", "vim", "kde", "lid",
  "squeezing", "neighbours", "sim-dnn published", "sim-dnn similarity", "sim-dnn profile standard",
]
controls = ["noise 0.02"]
attacks = [
  { attack = "fgsm", eps = 0.1 },
  { attack = "pgd", eps = 0.1, steps = 5, step_size = 0.04 },
  { attack = "ddn", steps = 20 },
  { attack = "pgd", eps = 0.1, steps = 2, through = "bart", samples = 2, limit = 8 },
]

[datasets.digits]
builtin = "digits"
test_images = 60

[networks.MobileNet]
dataset = "digits"
backbone = "simdnn.networks.digits:digits_network"
weights = "{dataset}/weights.safetensors"
mean = [0, 0, 0]
std = [1, 1, 1]
size = 32

[networks.absent]
dataset = "digits"
backbone = "resnet18"
weights = "nowhere.safetensors"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, trained_digits: TrainedDigits) -> Path:
    """The plan, and a cache that has the digits and their network already."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "smoke.toml").write_text(PLAN, encoding="utf-8")
    cache_digits(trained_digits, folder / "cache")
    return folder


@pytest.fixture
def run(simdnn: Simdnn, folder: Path) -> Any:
    def go(*arguments: str) -> tuple[int, str, str]:
        plan, cache = folder / "smoke.toml", folder / "cache"
        return simdnn("bench", "run", plan, "--cache", cache, "--weights", folder / "weights", *arguments)

    return go


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> list[dict[str, Any]]:
    from typer.testing import CliRunner

    from simdnn.cli import app

    plan, cache = str(folder / "smoke.toml"), str(folder / "cache")
    arguments = ["bench", "run", plan, "--cache", cache, "--weights", str(folder / "weights")]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return list(Records(folder / "records" / "smoke.jsonl"))


def cell(records: list[dict[str, Any]], method: str, column: str, **more: str) -> dict[str, Any]:
    wanted = {"network": "MobileNet", "method": method, "column": column} | more
    (found,) = [r for r in records if all(r[key] == value for key, value in wanted.items())]
    return found


def test_every_cell_has_a_record_and_says_where_it_comes_from(measured: list[dict[str, Any]]) -> None:
    assert len(measured) == 2 * 17 * 6
    record = cell(measured, "knn", "fgsm-0.1")
    assert record["parameters"] == {"attack": "fgsm", "eps": 0.1}
    assert record["n"] == 60
    assert record["seed"] == 0
    assert len(record["weights"]) == len(record["split"]) == 16
    assert set(record["versions"]) >= {"python", "simdnn", "torch", "foolbox", "pytorch-ood"}
    assert record["hardware"]["cores"] >= 1
    assert record["seconds"] >= 0
    area = record["metrics"]["auroc"]
    assert 0 <= area["low"] <= area["value"] <= area["high"] <= 1
    assert len(record["scores"]) == area["n"] == record["fooled"]


def test_a_broken_cell_says_why_and_stops_nothing_else(measured: list[dict[str, Any]]) -> None:
    broken = [record for record in measured if "error" in record]
    assert {record["network"] for record in broken} == {"MobileNet", "absent"}
    assert {r["method"] for r in broken if r["network"] == "MobileNet"} == {"resupnet"}
    assert "simdnn.training.resupnet" in cell(measured, "resupnet", "clean")["error"]
    absent = [record for record in broken if record["network"] == "absent"]
    assert len(absent) == 17 * 6
    assert all("which is no file" in record["error"] for record in absent)


def test_attacks_fool_the_network_and_detectors_see_it(measured: list[dict[str, Any]]) -> None:
    assert cell(measured, "none", "clean")["metrics"]["accuracy"]["value"] > 0.9
    assert cell(measured, "none", "fgsm-0.1")["metrics"]["accuracy"]["value"] < 0.1
    assert cell(measured, "sim-dnn profile standard", "fgsm-0.1")["metrics"]["auroc"]["value"] > 0.95
    assert cell(measured, "sim-dnn published", "fgsm-0.1")["metrics"]["flagged"]["value"] < 0.2
    assert cell(measured, "bart", "clean")["metrics"]["accuracy"]["value"] > 0.9  # of the bare network
    assert cell(measured, "bart", "clean")["metrics"]["eq_14"]["value"] < 0.95  # of the defended one
    through = cell(measured, "bart", "pgd-0.1", through="bart")
    assert through["n"] == 8
    cost = cell(measured, "neighbours", "clean")["cost"]["ratio"]
    assert cost > cell(measured, "msp", "clean")["cost"]["ratio"]


@pytest.mark.usefixtures("measured")
def test_a_second_run_measures_only_what_broke(run: Any, folder: Path) -> None:
    path = folder / "records" / "smoke.jsonl"
    before = len(path.read_text(encoding="utf-8").splitlines())
    code, out, _ = run("--only", "network=MobileNet")
    assert code == 0
    assert "MobileNet, clean: knn" not in out
    assert "MobileNet, clean: resupnet: broken" in out
    assert len(path.read_text(encoding="utf-8").splitlines()) == before


def test_the_status_tells_what_has_changed_since(
    simdnn: Simdnn, folder: Path, measured: list[dict[str, Any]], tmp_path: Path
) -> None:
    def status(records: list[dict[str, Any]]) -> tuple[int, dict[tuple[str, str, str, str], tuple[str, str]]]:
        (tmp_path / "smoke.jsonl").write_text(
            "".join(json.dumps(r) + "\n" for r in records), encoding="utf-8"
        )
        where = ("--records", tmp_path, "--cache", folder / "cache", "--weights", folder / "weights")
        code, out, _ = simdnn("bench", "status", folder / "smoke.toml", *where, "--json")
        cells = [json.loads(line) for line in out.splitlines()]
        names = ("network", "method", "column", "through")
        return code, {tuple(c[name] for name in names): (c["state"], c["reason"]) for c in cells}

    code, cells = status(measured)
    assert code == 0
    assert len(cells) == 2 * 17 * 6
    states = {(network, method): state for (network, method, *_), (state, _) in cells.items()}
    assert {network for network, _ in states if states[network, "knn"] == "broken"} == {"absent"}
    assert {method for (n, method), state in states.items() if n == "MobileNet" and state != "current"} == {
        "resupnet"
    }
    changed: dict[str, dict[str, Any]] = {"msp": {"alpha": 0.2}, "knn": {"commit": "abc with changes"}}
    code, cells = status([r | changed.get(r["method"], {}) for r in measured if r["method"] != "vim"])
    assert code == 1
    found = {method: cells["MobileNet", method, "clean", ""] for method in ("msp", "knn", "vim", "rmd")}
    assert found["msp"] == ("stale", "alpha was 0.2, is 0.05")
    assert found["knn"] == ("dirty", "commit abc with changes")
    assert found["vim"] == ("missing", "")
    assert found["rmd"] == ("current", "")
    place = ("MobileNet", "lid", "clean")
    other_data = [
        r | {"key": "0" * 16} if (r["network"], r["method"], r["column"]) == place else r for r in measured
    ]
    _, cells = status(other_data)
    wanted = "other images, weights, preprocessing or numbers of images"
    assert cells["MobileNet", "lid", "clean", ""] == ("stale", wanted)


def test_a_tree_with_changes_is_refused(
    simdnn: Simdnn, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simdnn.evaluation.provenance.commit", lambda _: "abc with changes")
    code, _, err = simdnn("bench", "run", folder / "smoke.toml", "--cache", folder / "cache")
    assert code == 2
    assert "commit them, or measure with --dirty, which the tables will show" in err


def test_one_cell_measured_again_agrees(run: Any, folder: Path, measured: list[dict[str, Any]]) -> None:
    chosen = "network=MobileNet,method={},column=pgd-0.1"
    path = folder / "records" / "smoke.jsonl"
    before = len(path.read_text(encoding="utf-8").splitlines())
    code, _, _ = run("--again", "--only", chosen.format("knn"), "--only", chosen.format("bart"))
    assert code == 0
    again = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[before:]]
    assert [(r["method"], r["through"]) for r in again] == [
        ("bart", ""), ("knn", ""), ("bart", "bart"), ("knn", "bart"),
    ]  # fmt: skip
    for record in again:
        old = cell(measured, record["method"], "pgd-0.1", through=record["through"])
        assert record["metrics"] == old["metrics"]
        assert record["key"] == old["key"]


@pytest.mark.usefixtures("measured")
def test_the_report_is_made_of_the_records_alone(
    simdnn: Simdnn, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code, out, _ = simdnn("bench", "report", folder / "smoke.toml", "-o", tmp_path / "report")
    assert code == 0
    assert "index.html" in out
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "sim-dnn profile standard" in page
    assert "which is no file" in page
    with (tmp_path / "report" / "smoke-MobileNet-auroc.csv").open(encoding="utf-8") as file:
        rows = {(row["row"], row["column"]): row for row in csv.DictReader(file)}
    assert 0.5 < float(rows["mahalanobis", "fgsm-0.1"]["value"]) <= 1
    assert float(rows["knn", "cost"]["value"]) > 0
    text = (tmp_path / "report" / "smoke-MobileNet-flagged.md").read_text(encoding="utf-8")
    assert "| knn |" in text
    assert r"\toprule" in (tmp_path / "report" / "smoke-MobileNet-flagged.tex").read_text(encoding="utf-8")
    for name in ("smoke-MobileNet-auroc-heat", "smoke-MobileNet-roc", "smoke-MobileNet-similarity"):
        assert (tmp_path / "report" / f"{name}.png").stat().st_size > 5_000


@pytest.mark.usefixtures("measured")
def test_the_gallery_shows_what_was_attacked(simdnn: Simdnn, folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "gallery.html"
    code, _, _ = simdnn(
        "bench", "gallery", folder / "smoke.toml", "--network", "MobileNet", "-o", page, "--images", 1,
        "--cache", folder / "cache", "--weights", folder / "weights",
    )  # fmt: skip
    assert code == 0
    text = page.read_text(encoding="utf-8")
    assert text.count("<img") == 3 * 4
    assert "sim-dnn profile standard: attack" in text
    assert "none: " not in text
    code, _, err = simdnn("bench", "gallery", folder / "smoke.toml", "--network", "nobody", "-o", page)
    assert code == 2
    assert "the plan has no network 'nobody', only MobileNet, absent" in err


def test_the_easiest_images_are_chosen(simdnn: Simdnn, folder: Path, tmp_path: Path, digits: Path) -> None:
    plan = tmp_path / "two.toml"
    text = PLAN.replace('weights = "{dataset}/weights', f'weights = "{digits}/weights').split(
        "[networks.absent]"
    )[0]
    plan.write_text(text, encoding="utf-8")
    some = digits / "test" / "3"
    code, out, _ = simdnn(
        "bench", "select-nonrobust", some, "--plan", plan, "--count", 5, "-o", tmp_path / "l.csv"
    )
    assert code == 0
    assert "wrote 5 of" in out
    with (tmp_path / "l.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    norms = [float(row["l2_MobileNet"]) for row in rows]
    assert norms == sorted(norms)
    assert {row["label"] for row in rows} == {"3"}
    ids = tmp_path / "ids.txt"
    ids.write_text(f"{Path(rows[2]['path']).stem}\n", encoding="utf-8")
    code, out, _ = simdnn(
        "bench", "select-nonrobust", some, "--plan", plan, "--ids", ids, "-o", tmp_path / "m.csv"
    )
    assert code == 0
    assert "wrote 1 of 1" in out
    ids.write_text("absent\n", encoding="utf-8")
    code, _, err = simdnn(
        "bench", "select-nonrobust", some, "--plan", plan, "--ids", ids, "-o", tmp_path / "m.csv"
    )
    assert code == 2
    assert "1 of which are not there, such as absent" in err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"msp", ', '"no.such:Thing", ', "expected 'no.such:Thing' to name a detector"),
        ('eps = 0.1 }', 'eps = -0.1 }', "fgsm: expected a number above 0 for eps, got -0.1"),
        ('builtin = "digits"', 'builtin = "letters"', "expected builtin = 'digits', got 'letters'"),
    ],
)  # fmt: skip
def test_what_only_a_run_can_find_is_found_before_any_work(
    simdnn: Simdnn, tmp_path: Path, old: str, new: str, message: str
) -> None:
    plan = tmp_path / "p.toml"
    assert old in PLAN
    plan.write_text(PLAN.replace(old, new), encoding="utf-8")
    code, out, err = simdnn("bench", "run", plan, "--cache", tmp_path)
    assert message in err + out
    assert code == (0 if "letters" in new else 2)


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ("method=knm", "--only method=: expected one of none, bart"),
        ("method=knm", "got 'knm'; did you mean 'knn'?"),
        ("network=MobileNet,column=pgd-0.2", "got 'pgd-0.2'; did you mean 'pgd-0.1'"),
        ("row=MobileNet", "--only takes network=, column=, form=, method=; got 'row=MobileNet'"),
    ],
)
def test_only_takes_what_the_plan_has(run: Any, only: str, message: str) -> None:
    code, _, err = run("--only", only)
    assert code == 2
    assert message in err


def test_plans_say_where_their_records_are(simdnn: Simdnn, tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    plan, another = tmp_path / "plans" / "p.toml", tmp_path / "plans" / "another.toml"
    plan.write_text('records = "../records"\n' + PLAN.replace('"energy", ', ""), encoding="utf-8")
    another.write_text('records = "../records"\n' + PLAN.replace('"msp", ', ""), encoding="utf-8")
    only = [
        part
        for name in ("msp", "energy")
        for part in ("--only", f"network=absent,method={name},column=clean")
    ]
    code, out, _ = simdnn("bench", "run", plan, another, "--cache", tmp_path, *only)
    assert code == 0
    for name, method in (("p", "msp"), ("another", "energy")):
        assert [record["method"] for record in Records(tmp_path / "records" / f"{name}.jsonl")] == [method]
    assert out.count("0 cells measured, 1 broken") == 2
    code, _, _ = simdnn("bench", "report", plan, "-o", tmp_path / "report")
    assert code == 0
    assert "which is no file" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("measured")
def test_a_plan_may_ask_about_fewer_images_spread_over_the_classes(
    simdnn: Simdnn, folder: Path, tmp_path: Path
) -> None:
    plan = folder / "few.toml"
    plan.write_text("images = 20\n" + PLAN, encoding="utf-8")
    code, _, _ = simdnn(
        "bench", "run", plan, "--cache", folder / "cache", "--records", tmp_path,
        "--only", "network=MobileNet,method=knn,column=fgsm-0.1",
        "--only", "network=MobileNet,method=bart,column=clean",
    )  # fmt: skip
    assert code == 0
    clean, attacked = Records(tmp_path / "few.jsonl")
    assert clean["n"] == attacked["n"] == clean["cost"]["images"] == 20
    assert len(attacked["metrics"]["per_class"]) >= 8
