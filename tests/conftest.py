"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder with real photographs and weights; the tests that need it are skipped where it is absent."""
    folder = os.environ.get("SIMDNN_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs the photographs and weights that SIMDNN_DATA points to")
    return Path(folder)
