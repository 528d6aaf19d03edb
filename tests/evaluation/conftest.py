"""Measurements in tests are from a clean commit, whatever the state of the working tree."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simdnn.evaluation.run import _provenance


@pytest.fixture(scope="module", autouse=True)
def clean_tree() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("simdnn.evaluation.provenance.commit", lambda _: "abc")
        _provenance.cache_clear()
        yield
    _provenance.cache_clear()
