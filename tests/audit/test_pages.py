"""Pages by cursor and filters give each record once, newest first, as a slow search does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from random import Random
from typing import Any

import pytest
from sqlalchemy import text

from simdnn.audit.cursor import cursor, place
from simdnn.audit.engine import connect
from simdnn.audit.records import AuditRecord, Origin
from simdnn.audit.store import AuditStore
from simdnn.errors import InputError
from simdnn.guard.verdict import Neighbour, Verdict

START = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def filled(target: str, attack: Verdict) -> str:
    """A store with 60 records of all kinds, times that are equal or go back, and some labels."""
    random = Random(0)
    with AuditStore.open(target) as store:
        for number in range(60):
            label, seen = random.choice("ab"), random.choice("ab")
            p_value = random.choice([None, 0.001, 0.01, 0.2])
            verdict = replace(attack, label=label, classifier_label=seen, p_value=p_value)
            verdict = replace(verdict, verdict=random.choice(["attack", "clean", "error"]), path=f"{number}")
            origin = Origin(random.choice(["one", "two"]), f"r{number}")
            store.record(verdict, model_id=random.choice("mn"), origin=origin)
        for number in random.sample(range(1, 61), 30):
            store.label(number, random.choice(["attack", "clean", "unsure"]))
    engine = connect(target)
    with engine.begin() as connection:  # the clock of a machine may be set back
        for number in range(1, 61):
            time = START + timedelta(hours=random.randrange(20))
            written = time if engine.dialect.name == "postgresql" else f"{time:%Y-%m-%d %H:%M:%S.%f}"
            connection.execute(
                text("UPDATE record SET time = :time WHERE id = :id"), {"time": written, "id": number}
            )
    engine.dispose()
    return target


def _meets(record: AuditRecord, only: dict[str, Any]) -> bool:
    """The obvious search."""
    p = record.p_value
    checks: dict[str, Callable[[Any], bool]] = {
        "verdict": lambda v: record.verdict == v,
        "label": lambda v: record.human_label == v,
        "unlabelled": lambda v: not v or record.human_label is None,
        "since": lambda v: record.time >= v,
        "until": lambda v: record.time < v,
        "class_name": lambda v: v in (record.label, record.classifier_label),
        "p_min": lambda v: p is not None and p >= v,
        "p_max": lambda v: p is not None and p <= v,
        "model_id": lambda v: record.model_id == v,
        "token": lambda v: record.token == v,
        "up_to": lambda v: record.id <= v,
    }
    return all(checks[name](value) for name, value in only.items())


FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {"verdict": "attack"},
    {"label": "clean"},
    {"label": "unsure"},
    {"unlabelled": True},
    {"since": START + timedelta(hours=7)},
    {"until": START + timedelta(hours=7)},
    {"class_name": "a"},
    {"p_min": 0.01},
    {"p_max": 0.01},
    {"model_id": "n"},
    {"token": "two"},
    {"up_to": 31},
)


def test_pages_give_what_a_slow_search_gives(filled: str) -> None:
    with AuditStore.open(filled) as store:
        everything = sorted(store.records(), key=lambda r: (r.time, r.id), reverse=True)
        assert [record.id for record in store.records()] == [record.id for record in everything]
        for one, other in product(FILTERS, FILTERS):
            only = one | other
            expected = [record.id for record in everything if _meets(record, only)]
            after, found = None, []
            while True:
                page = store.page(after=after, size=7, **only)
                assert len(page.records) <= 7
                found += [record.id for record in page.records]
                if page.next is None:
                    break
                after = page.next
            assert found == expected, only
            assert store.count(**only) == len(expected)


def test_what_is_recorded_meanwhile_moves_no_page(filled: str, attack: Verdict) -> None:
    with AuditStore.open(filled) as store:
        expected = [record.id for record in store.records()]
        page = store.page(size=20)
        store.record_all([(attack, None)] * 5, model_id="m")
        rest = store.page(after=page.next, size=100)
        assert [record.id for record in (*page.records, *rest.records)] == expected
        assert rest.next is None


def test_a_last_page_that_is_full_has_no_next(target: str, attack: Verdict) -> None:
    with AuditStore.open(target) as store:
        assert store.page() == store.page(size=1)
        store.record_all([(attack, None)] * 4, model_id="m")
        assert store.page(size=4).next is None
        page = store.page(size=3)
        assert page.next == cursor(page.records[-1].time, page.records[-1].id)


def test_the_records_around_one(filled: str) -> None:
    with AuditStore.open(filled) as store:
        for only in ({}, {"verdict": "attack"}, {"unlabelled": True}):
            numbers = [record.id for record in store.records(**only)]
            for newer, number, older in zip([None, *numbers], numbers, [*numbers[1:], None], strict=False):
                assert store.around(store.get(number), **only) == (newer, older)


def test_a_record_that_no_longer_matches_still_has_a_place(filled: str) -> None:
    """An auditor labels it in the queue of what is unlabelled, and goes on to the next."""
    with AuditStore.open(filled) as store:
        before, record, after = store.page(size=3, unlabelled=True).records
        store.label(record.id, "clean")
        assert store.around(record, unlabelled=True) == (before.id, after.id)


@pytest.mark.parametrize("given", ["", "x", "1", "1-", "-1", "1-2-3", "1.5-2", "٣-1", "9" * 20 + "-1"])
def test_what_is_no_cursor_is_refused(tmp_path: str, given: str) -> None:
    with (
        AuditStore.open(f"{tmp_path}/audit.db") as store,
        pytest.raises(InputError, match=r"^expected a cursor that a page gave as its next"),
    ):
        store.page(after=given)


def test_a_cursor_is_exact_to_the_microsecond() -> None:
    time = datetime(2026, 11, 20, 3, 4, 5, 678901, UTC)
    assert place(cursor(time, 12)) == (time, 12)


def test_similar_records_have_the_same_nearest_prototype(target: str, attack: Verdict) -> None:
    def seen(path: str, *similarities: float, **other: Any) -> Verdict:
        evidence = tuple(
            Neighbour(name, name[0], value, "x")
            for name, value in zip(("a/0", "b/0", "c/0"), similarities, strict=True)
        )
        return replace(attack, path=path, prototype="a/0", evidence=evidence, **other)

    with AuditStore.open(target) as store:
        first = store.record(seen("first", 0.9, 0.5, 0.1), model_id="m", image=b"dog")
        store.record(seen("far", 0.9, 0.1, 0.9), model_id="m")
        store.record(seen("near", 0.8, 0.45, 0.1), model_id="m")
        store.record(seen("same", 0.1, 0.9, 0.1), model_id="m", image=b"dog")
        store.record(seen("passed", 0.9, 0.5, 0.1, verdict="clean"), model_id="m")
        store.record(replace(attack, path="other"), model_id="m")
        found = store.similar(store.get(first))
        assert [record.path for record, _ in found] == ["same", "near", "far"]
        assert [round(value, 2) for _, value in found] == [1.0, 1.0, 0.72]
        assert len(store.similar(store.get(first), limit=1)) == 1
        number = store.record(Verdict("broken", "error"), model_id="m")
        assert store.similar(store.get(number)) == []
