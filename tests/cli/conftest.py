"""A guard of digits and images for it, as a user has them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from simdnn.guard.guard import Guard


@pytest.fixture
def guard(digits: Path, tmp_path: Path) -> Path:
    """A copy, to be edited."""
    return Path(shutil.copy(digits / "guard.simdnn", tmp_path / "guard.simdnn"))


@pytest.fixture
def clean(digits: Path) -> Path:
    """A digit that the guard does not flag."""
    verdicts = Guard.load(digits / "guard.simdnn").check(digits / "test" / "6")
    return Path(next(v.path for v in verdicts if v.verdict == "clean"))


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.png"
    path.write_bytes(b"")
    return path
