"""``simdnn evaluate`` and ``simdnn calibrate`` on scanned digits."""

from __future__ import annotations

import errno
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest
from tests.conftest import Simdnn

from simdnn.errors import OutputError
from simdnn.evaluation.guard_evaluation import evaluate_guard
from simdnn.evaluation.guard_report import write_guard_report
from simdnn.guard.guard import Guard


@pytest.fixture(scope="module")
def attacked(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits with a grey square across: odd, and in class folders."""
    folder = tmp_path_factory.mktemp("attacked")
    for digit in "013":
        (folder / digit).mkdir()
        for path in sorted((digits / "test" / digit).iterdir())[:40]:
            pixels = np.array(Image.open(path).convert("RGB"))
            pixels[2:-2:2, 2:-2] = 255 - pixels[2:-2:2, 2:-2]
            Image.fromarray(pixels).save(folder / digit / path.name)
    return folder


def test_what_is_counted(simdnn: Simdnn, digits: Path, attacked: Path) -> None:
    code, out, err = simdnn("evaluate", digits / "guard.simdnn", digits / "test", attacked, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    guard = Guard.load(digits / "guard.simdnn")
    for rates, folder in zip(found["images"], (digits / "test", attacked), strict=True):
        verdicts = list(guard.check(folder))
        flags = [v.verdict == "attack" for v in verdicts]
        correct = [v.label == Path(v.path).parent.name for v in verdicts]
        assert rates["n"] == len(verdicts)
        assert rates["flagged"]["value"] == pytest.approx(np.mean(flags))
        interval = binomtest(sum(flags), len(flags)).proportion_ci(method="exact")
        assert (rates["flagged"]["low"], rates["flagged"]["high"]) == pytest.approx(tuple(interval))
        assert rates["label_correct"]["value"] == pytest.approx(np.mean(correct))
        rightly = [
            flag or right if rates["attacked"] else right and not flag
            for flag, right in zip(flags, correct, strict=True)
        ]
        assert rates["detected"]["value"] == pytest.approx(np.mean(rightly))
    clean, odd = found["images"]
    assert clean["auroc"] is None
    assert 0.7 < odd["auroc"]["low"] <= odd["auroc"]["value"] <= 1
    assert (found["calibrated"], found["alpha"], found["rule"]) == (119, 0.05, "similarity")
    assert found["promise"]["flagged"] == round(clean["n"] * clean["flagged"]["value"])
    assert found["threshold"] == guard.threshold()


def test_it_is_told_in_plain_words(simdnn: Simdnn, digits: Path, attacked: Path) -> None:
    code, out, _ = simdnn("evaluate", digits / "guard.simdnn", digits / "test", attacked)
    assert code == 0
    assert re.search(rf"clean: {re.escape(str(digits / 'test'))} +599 +[\d.]+ % \([\d.]+ to ", out)
    assert re.search(r"\d+ of 599 flagged; the promise of 5 % is not contradicted\n", out)
    assert "one-sided p = 0." in out
    assert "with 119 calibration images" in out
    code, out, _ = simdnn("evaluate", digits / "guard.simdnn", attacked)
    assert code == 0
    assert re.search(
        r"\d+ of 120 flagged; the promise of 5 % is contradicted: at most \d+ were to be expected; ", out
    )
    code, out, _ = simdnn("evaluate", digits / "guard.simdnn", digits / "test" / "0", "--rule", "published")
    assert "the published rule promises no false-alarm rate" in out
    assert "eq. 14" not in out  # no class folders in there


def test_images_that_calibrate_do_not_count(simdnn: Simdnn, digits: Path) -> None:
    code, out, _ = simdnn("evaluate", digits / "guard.simdnn", digits / "train", "--json")
    assert code == 0
    (rates,) = json.loads(out)["images"]
    assert (rates["n"], rates["known"]) == (480, 119)


def test_the_report_holds_the_same_facts(
    simdnn: Simdnn, digits: Path, attacked: Path, tmp_path: Path
) -> None:
    arguments = ("evaluate", digits / "guard.simdnn", digits / "test", attacked, "-o", tmp_path / "r.html")
    code, out, _ = simdnn(*arguments)
    assert code == 0
    assert out.endswith(f"wrote {tmp_path / 'r.html'}\n")
    page = (tmp_path / "r.html").read_text()
    found = json.loads(simdnn(*arguments, "--json")[1])
    assert found["promise"]["sentence"].replace(" %", "\xa0%") in page
    for rates in found["images"]:
        assert f"{100 * rates['flagged']['value']:.1f} %" in page
    assert page.count("<svg") == 2
    assert "prefers-color-scheme: dark" in page
    assert not re.search(r"(src|href)=\"https?:", page)  # nothing is fetched
    linked = set(re.findall(r'href="file://([^"]+)"', page))
    flagged = {
        v.path for v in Guard.load(digits / "guard.simdnn").check(digits / "test") if v.verdict == "attack"
    }
    own = {path for path in linked if path.startswith(str(digits))}
    assert 0 < len(own) <= 8
    assert own <= flagged
    missed = {v.path for v in Guard.load(digits / "guard.simdnn").check(attacked) if v.verdict == "clean"}
    assert linked - own <= missed


def test_unreadable_files_are_status_1(simdnn: Simdnn, digits: Path, tmp_path: Path) -> None:
    shutil.copytree(digits / "test" / "0", tmp_path / "some")
    (tmp_path / "some" / "broken.png").write_bytes(b"")
    code, out, err = simdnn("evaluate", digits / "guard.simdnn", tmp_path / "some", "--json")
    assert code == 1
    assert json.loads(out)["images"][0]["unreadable"] == 1
    assert err == f"not readable: {tmp_path / 'some' / 'broken.png'}: the file is empty\n"
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "broken.png").write_bytes(b"")
    code, out, err = simdnn("evaluate", digits / "guard.simdnn", tmp_path / "none")
    assert (code, out) == (2, "")
    assert err.startswith(
        f"error: expected images to count in {tmp_path / 'none'}, got 1, of which none of them"
    )
    code, out, err = simdnn("evaluate", digits / "guard.simdnn", digits / "test", "-o", tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith("error: expected a file to write the report to, got the folder ")


def test_a_report_that_cannot_be_written(digits: Path, tmp_path: Path) -> None:
    found = evaluate_guard(Guard.load(digits / "guard.simdnn"), digits / "test" / "0")
    with pytest.raises(OutputError, match=r"^cannot write .*/nowhere/r\.html: No such file"):
        write_guard_report(tmp_path / "nowhere" / "r.html", found)


def test_a_full_disk_leaves_the_earlier_report(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    found = evaluate_guard(Guard.load(digits / "guard.simdnn"), digits / "test" / "0")
    report = tmp_path / "r.html"
    report.write_text("earlier", encoding="utf-8")
    monkeypatch.setattr("simdnn.atomic.os.fsync", full)
    with pytest.raises(OutputError, match=r"^cannot write .*/r\.html: No space left on device$"):
        write_guard_report(report, found)
    assert report.read_text(encoding="utf-8") == "earlier"
    with pytest.raises(OutputError, match="No space left"):
        write_guard_report(tmp_path / "new.html", found)
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


def test_calibrate_sets_another_threshold(simdnn: Simdnn, digits: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.simdnn"
    code, out, err = simdnn("calibrate", digits / "guard.simdnn", digits / "test", "-o", new, "--alpha", 0.02)
    assert (code, err) == (0, "")
    before, after = Guard.read(digits / "guard.simdnn"), Guard.read(new)
    assert out.splitlines() == [
        f"before: threshold {before.threshold():.4g} by 119 clean images, alpha 0.05",
        f"now:    threshold {after.threshold():.4g} by 599 clean images, alpha 0.02",
        f"calibrated on other images: {digits / 'test'}",
        f"wrote {new}",
    ]
    code, out, _ = simdnn("calibrate", new, digits / "test", "-o", new, "--add")
    assert code == 0
    assert "599 were left out: they calibrate already\n" in out
    code, out, err = simdnn(
        "calibrate", digits / "guard.simdnn", digits / "test", "-o", tmp_path / "x", "--alpha", 0.0001
    )
    assert (code, out) == (2, "")
    assert err.startswith("error: 599 calibration images cannot promise a false-alarm rate of 0.0001; ")
    assert err.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_fit_says_what_calibrates(simdnn: Simdnn, digits: Path, tmp_path: Path) -> None:
    options = ["--backbone", "simdnn.networks.digits:digits_network", "--size", 32, "--no-cache"]
    options += ["--weights", digits / "weights.safetensors", "--rule", "similarity", "-o", tmp_path / "g"]
    code, out, _ = simdnn("fit", digits / "train", *options)
    assert code == 0
    assert (
        "calibrated on images of that folder; if the network was trained on these, unseen images are flagged more "
        "often than promised: --calibrate-on takes images that it has not seen\n"
    ) in out
    code, out, _ = simdnn("fit", digits / "train", *options, "--calibrate-on", digits / "test")
    assert code == 0
    assert "from 599 images; 599 more calibrate the threshold\n" in out
    assert f"calibrated on other images: {digits / 'test'}\n" in out
