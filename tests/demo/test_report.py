"""Pieces of the report; the whole of it is tested with the demonstration."""

from __future__ import annotations

import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from simdnn.demo.places import Places

from simdnn.demo.figures import score_histogram
from simdnn.errors import InputError
from simdnn.evaluation.provenance import commit, provenance


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
        Places(tmp_path).prepare()
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_earlier_demonstration_is_replaced(tmp_path: Path) -> None:
    places = Places(tmp_path / "deep" / "demo")
    places.prepare()
    places.report.write_text("old")
    places.prepare()
    assert not places.report.exists()
    assert places.folder.is_dir()
