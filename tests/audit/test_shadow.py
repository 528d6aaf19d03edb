"""The table of two guards' verdicts, on both kinds of database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from simdnn.audit.shadow import Pair, ShadowLog
from simdnn.audit.store import AuditStore
from simdnn.guard.verdict import Verdict


def row(verdict: str, other: str, **given: Any) -> dict[str, Any]:
    made = {"time": datetime.now(UTC), "path": "a.png", "image_sha256": None, "model_id": "m", "score": 1.0}
    made |= {"p_value": None, "shadow_id": "s", "shadow_score": -1.0, "shadow_p_value": 0.01}
    return made | {"verdict": verdict, "shadow_verdict": other} | given


@pytest.fixture
def store(target: str) -> Iterator[AuditStore]:
    with AuditStore.open(target) as opened:
        yield opened


def test_images_are_counted_by_both_verdicts_for_each_two_guards(store: AuditStore) -> None:
    log = ShadowLog(store)
    assert log.pairs() == []
    log.add([row("clean", "clean"), row("clean", "attack"), row("clean", "attack"), row("clean", "error")])
    log.add([row("attack", "attack", model_id="n"), row("attack", "clean", model_id="n")])
    assert log.pairs() == [Pair("n", "s", 0, 0, 1, 1), Pair("m", "s", 1, 2, 0, 0)]
    log.add([row("clean", "clean")])
    assert [pair.model_id for pair in log.pairs()] == ["m", "n"]


def test_disagreements_are_narrowed_and_paged(store: AuditStore) -> None:
    log = ShadowLog(store)
    log.add([row("clean", "attack"), row("clean", "clean"), row("attack", "clean", model_id="n")])
    log.add([row("clean", "attack", shadow_id="t"), row("clean", "attack")])

    def numbers(**only: Any) -> list[int]:
        return [record.id for record in log.disagreements(**only)]

    assert numbers() == [5, 4, 3, 1]
    assert numbers(limit=2) == [5, 4]
    assert numbers(before=4) == [3, 1]
    assert numbers(model_id="m") == [5, 4, 1]
    assert numbers(shadow_id="t") == [4]
    assert numbers(verdict="attack") == [3]
    assert numbers(model_id="m", shadow_id="s", verdict="clean", before=5) == [1]


def test_a_disagreement_has_the_latest_record_of_its_image(store: AuditStore, attack: Verdict) -> None:
    log = ShadowLog(store)
    digest = "1" * 64
    attack = replace(attack, image_sha256=digest)
    first = store.record(attack, model_id="m")
    store.record(attack, model_id="another guard")
    log.add([row("attack", "clean", image_sha256=digest), row("attack", "clean", image_sha256="0" * 64)])
    log.add([row("attack", "clean")])
    assert [one.record_id for one in log.disagreements()] == [None, None, first]
    later = store.record(attack, model_id="m")
    (*_, found) = log.disagreements()
    assert (found.record_id, found.classifier_label) == (later, attack.classifier_label)
    assert found.image_kept is False
