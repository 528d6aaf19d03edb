"""Near-duplicate queries raise an alarm; ordinary ones do not."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from tests.service.conftest import Start

from simdnn.service.near import NearDuplicates


def test_queries_that_are_nearly_the_same_count() -> None:
    near = NearDuplicates(3, 2, 100.0)
    assert [near.observe("a", 0b1 << i, f"{i}", now=float(i)) for i in range(5)] == [
        None,
        None,
        None,
        3,
        None,
    ]
    assert near.observe("b", 0b1, "0", now=6.0) is None  # another token's own


def test_the_same_bytes_again_are_no_search() -> None:
    near = NearDuplicates(2, 0, 100.0)
    assert [near.observe("a", 5, "same", now=float(i)) for i in range(9)] == [None] * 9


def test_far_and_old_queries_do_not_count() -> None:
    near = NearDuplicates(1, 3, 10.0)
    assert near.observe("a", 0, "0", now=0.0) is None
    assert near.observe("a", 0b1111, "1", now=1.0) is None
    assert near.observe("a", 0b111, "2", now=2.0) == 2
    near = NearDuplicates(1, 3, 10.0)
    near.observe("a", 0, "0", now=0.0)
    assert near.observe("a", 0, "1", now=10.1) is None


def test_an_alarm_is_raised_once_a_window() -> None:
    near = NearDuplicates(1, 0, 10.0)
    raised = [t for t in range(25) if near.observe("a", 0, f"{t}", now=float(t)) is not None]
    assert raised == [1, 11, 21]


def test_a_search_by_small_changes_is_noticed(start: Start, picture: bytes, digits: Path) -> None:
    service = start(near_duplicates=5)
    pixels = np.array(Image.open(BytesIO(picture)).convert("RGB"))
    rng = np.random.default_rng(0)

    def alarms() -> str:
        text = service.client.get("/metrics", headers=service.checker).text
        return next(
            line for line in text.splitlines() if line.startswith("simdnn_near_duplicate_alarms_total")
        )

    for _ in range(7):
        content = BytesIO()
        change = rng.integers(-3, 4, pixels.shape)
        Image.fromarray((pixels + change).clip(0, 255).astype(np.uint8)).save(content, "PNG")
        files = {"image": content.getvalue()}
        assert service.client.post("/v1/check", files=files, headers=service.checker).status_code == 200
    assert alarms() == "simdnn_near_duplicate_alarms_total 1.0"
    (action,) = service.state.store.actions(what=["near-duplicate queries"])
    assert (action.who, action.target) == ("service", "a-checker")
