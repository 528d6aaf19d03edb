"""Pieces of the report; the whole of it is tested with the demonstration."""

from __future__ import annotations

import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from tests.trained_digits import TrainedDigits

from simdnn.demo.figures import score_histogram
from simdnn.demo.outcome import ImageGroup, summarise
from simdnn.demo.paths import DemoPaths
from simdnn.demo.report import write_report
from simdnn.demo.text import SCORES
from simdnn.errors import InputError
from simdnn.evaluation.provenance import commit, provenance
from simdnn.guard.guard import Guard
from simdnn.networks.extractor import Extractor


def test_histogram_is_well_formed_and_takes_its_colours_from_the_page() -> None:
    svg = score_histogram([0.5, 0.6, 0.7], [0.1, 0.2], 0.4, (0.1, 0.7))
    assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert all(f"var(--{name})" in svg for name in ("ink", "clean", "other"))
    assert "threshold" in svg
    assert svg == score_histogram([0.5, 0.6, 0.7], [0.1, 0.2], 0.4, (0.1, 0.7))


def test_commit_is_told_only_of_a_file_that_git_keeps(tmp_path: Path) -> None:
    def git(*command: str) -> str:
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *command], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    kept, other = tmp_path / "kept.py", tmp_path / "other.py"
    kept.write_text("1\n")
    other.write_text("2\n")
    assert commit(kept) is None
    git("init")
    git("add", "kept.py")
    git("commit", "-m", "first")
    head = git("rev-parse", "HEAD")
    assert commit(kept) == head
    assert commit(other) is None
    kept.write_text("3\n")
    assert commit(kept) == f"{head} with changes"


def test_provenance_names_versions_and_hardware() -> None:
    found = provenance()
    assert set(found) == {"commit", "versions", "hardware"}
    assert found["versions"]["secml-torch"].startswith("1.")
    assert found["hardware"]["cores"] >= 1


def test_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match=re.escape(f"got {tmp_path}; choose another with -o")):
        DemoPaths(tmp_path).prepare()
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_earlier_demonstration_is_replaced(tmp_path: Path) -> None:
    paths = DemoPaths(tmp_path / "deep" / "demo")
    paths.prepare()
    paths.report.write_text("old")
    paths.prepare()
    assert not paths.report.exists()
    assert paths.folder.is_dir()


@pytest.mark.parametrize("rule", ["similarity", "profile"])
def test_the_text_about_the_score_is_that_of_the_rule(
    trained_digits: TrainedDigits, tmp_path: Path, rule: str
) -> None:
    folder = trained_digits.folder
    guard = Guard.fit(folder / "train", Extractor([trained_digits.backbone()]), rule=rule, view_seed=0)
    files = sorted((folder / "test").rglob("*.png"))[::20]
    verdicts = list(guard.check(files))
    truth = [path.parent.name for path in files]
    clean = ImageGroup("clean", {}, attacked=False, truth=truth, verdicts=verdicts)
    # Clean images under the labels of others: the network is wrong about each, as if it were fooled.
    wrong = ImageGroup("fgsm", {"attack": "fgsm", "eps": 0.1}, True, ["x"] * len(files), verdicts)
    record = {
        "title": "A test", "rule": rule, "alpha": 0.05, "learned": 480, "prototypes": 90, "calibrated": 119,
        "false_alarm_bound": 0.1, "seed": 0, "created": "today",
    } | provenance()  # fmt: skip
    page = tmp_path / "report.html"
    write_report(
        page, guard, [clean, wrong], [summarise(clean, clean), summarise(wrong, clean)], record,
        folder / "test", lambda done, total: None,
    )  # fmt: skip
    text = page.read_text(encoding="utf-8")
    assert {name for name, sentence in SCORES.items() if sentence in text} == {rule}
    shown = [float(score) for score in re.findall(r"<small>score (-?[\d.]+), threshold", text)]
    expected = {round(v.score, 3) for v in verdicts if v.score is not None}
    assert shown
    assert set(shown) <= expected
    assert all(0 <= score <= 1 for score in shown) == (rule == "similarity")
    assert min(expected) < 0 or rule == "similarity"
