"""Which commit a record names, in a repository made for the test."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from simdnn.evaluation import provenance
from simdnn.evaluation.provenance import RECORDS, WITH_CHANGES, commit


def test_only_changes_that_could_change_a_result_are_marked(tmp_path: Path) -> None:
    def git(*command: str) -> str:
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        done = subprocess.run(
            ["git", *who, *command], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    code, record = tmp_path / "src" / "code.py", tmp_path / RECORDS / "one.json"
    for file in (code, record):
        file.parent.mkdir(parents=True)
        file.write_text("1")
    git("init", "--quiet")
    assert commit(code) is None
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    head = git("rev-parse", "HEAD")
    record.write_text("2")
    (tmp_path / "new.py").write_text("1")
    assert commit(code) == head
    code.write_text("2")
    assert commit(code) == f"{head}{WITH_CHANGES}"


@pytest.mark.parametrize(("changed", "mark"), [("", ""), (" M code.py", WITH_CHANGES), (None, WITH_CHANGES)])
def test_a_tree_whose_changes_git_cannot_tell_counts_as_changed(
    monkeypatch: pytest.MonkeyPatch, changed: str | None, mark: str
) -> None:
    answers = {"ls-files": "code.py", "rev-parse": "abc", "status": changed}
    monkeypatch.setattr(provenance, "_git", lambda _, command, *__: answers[command])
    assert commit(Path("code.py")) == f"abc{mark}"
