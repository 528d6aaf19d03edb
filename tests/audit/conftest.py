"""A verdict with every field set."""

from __future__ import annotations

import pytest

from simdnn.guard.verdict import Neighbour, Verdict


@pytest.fixture
def attack() -> Verdict:
    """A verdict with every field set, and numbers that only full double precision keeps."""
    return Verdict(
        path="new/köpek 1.png",
        verdict="attack",
        label="dog",
        classifier_label="cat",
        score=0.1 + 0.2,
        p_value=1 / 201,
        threshold=1 / 3,
        prototype="dog/4",
        rule="similarity",
        evidence=(
            Neighbour("dog/4", "dog", 0.1 + 0.2, "train/dog/köpek.jpg"),
            Neighbour("cat/0", "cat", 0.01, "train/cat/1.jpg"),
        ),
        opinion_class="cat",
        opinion=1 / 7,
        certified_radius=0.1 + 0.7,
    )
