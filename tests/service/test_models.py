"""The guard is changed while requests are answered; its shadow judges beside it."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.service.conftest import Service, Start

from simdnn.audit.shadow import ShadowLog
from simdnn.audit.store import AuditStore
from simdnn.errors import AuditError
from simdnn.guard.guard import Guard


@pytest.fixture
def folder(digits: Path, tmp_path: Path) -> Path:
    """A folder with the guard, another one that promises another rate, and a broken file."""
    path = tmp_path / "guards"
    path.mkdir()
    shutil.copy(digits / "guard.simdnn", path / "guard.simdnn")
    Guard.read(digits / "guard.simdnn")
    other = Guard.load(digits / "guard.simdnn")
    other.model.prototypes.remove(next(iter(other.model.prototypes)).id)
    other.save(path / "other.simdnn")
    (path / "broken.simdnn").write_bytes((path / "guard.simdnn").read_bytes()[:-9])
    return path


def test_every_request_is_answered_while_the_guard_changes(
    start: Start, folder: Path, picture: bytes
) -> None:
    service = start(guard=folder / "guard.simdnn", record_all=True, max_delay_ms=1.0)
    ids = [Guard.read(folder / name).model_id for name in ("guard.simdnn", "other.simdnn")]
    ended = False

    def ask(_: int) -> list[Any]:
        replies: list[Any] = []
        while not ended or not replies:
            replies.append(
                service.client.post("/v1/check", files={"image": picture}, headers=service.checker)
            )
        return replies

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, i) for i in range(4)]
        for name in ("other.simdnn", "guard.simdnn", "other.simdnn"):
            reply = service.client.post("/v1/model", json={"file": name}, headers=service.auditor)
            assert reply.status_code == 200, reply.text
        ended = True
        replies = [reply for one in asking for reply in one.result()]
    assert {reply.status_code for reply in replies} == {200}
    answers = [reply.json() for reply in replies]
    assert {answer["model_id"] for answer in answers} <= set(ids)
    assert len({answer["record"] for answer in answers}) == len(answers)
    store = service.state.store
    recorded = {record.id: record.model_id for record in store.stream()}
    assert all(recorded[answer["record"]] == answer["model_id"] for answer in answers)
    assert service.client.get("/v1/model", headers=service.checker).json()["model_id"] == ids[1]
    text = service.client.get("/metrics", headers=service.checker).text
    assert f'simdnn_build_info{{model_id="{ids[1]}"}} 1.0' in text
    assert f'simdnn_build_info{{model_id="{ids[0]}"}} 0.0' in text


def test_a_broken_file_leaves_the_guard_in_use(start: Start, folder: Path, picture: bytes) -> None:
    service = start(guard=folder / "guard.simdnn")
    before = service.client.get("/readyz").json()["model_id"]
    reply = service.client.post("/v1/model", json={"file": "broken.simdnn"}, headers=service.auditor)
    assert reply.status_code == 409
    assert "truncated" in reply.json()["detail"]
    assert service.client.get("/readyz").json()["model_id"] == before
    assert (
        service.client.post("/v1/check", files={"image": picture}, headers=service.checker).status_code == 200
    )
    assert service.client.post("/v1/model", json={}, headers=service.checker).status_code == 403


@pytest.mark.parametrize("named", [True, False])
def test_a_change_that_cannot_be_recorded_is_none(
    start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    service = start(guard=folder / "guard.simdnn")
    before = service.client.get("/readyz").json()["model_id"]
    if not named:
        shutil.copy(folder / "other.simdnn", folder / "guard.simdnn")

    def full(*_: object) -> int:
        raise AuditError("the disk is full")

    wanted = {"file": "other.simdnn"} if named else {}
    with monkeypatch.context() as broken:
        broken.setattr(AuditStore, "act", full)
        reply = service.client.post("/v1/model", json=wanted, headers=service.auditor)
    assert reply.status_code == 503
    assert "audit store" in reply.json()["detail"]
    assert service.client.get("/readyz").json()["model_id"] == before
    assert service.state.models.file == folder / "guard.simdnn"
    changed = service.client.post("/v1/model", json=wanted, headers=service.auditor).json()["model_id"]
    assert changed != before
    (action,) = service.state.store.actions()
    assert (action.before, action.after) == (before, changed)


def test_a_service_whose_guard_cannot_be_loaded_says_why_and_can_be_helped(
    start: Start, folder: Path, picture: bytes
) -> None:
    service = start(guard=folder / "broken.simdnn", ready=False)
    until = time.monotonic() + 60
    while service.state.models.failure is None:
        assert time.monotonic() < until
        time.sleep(0.01)
    reply = service.client.get("/readyz")
    assert (reply.status_code, "truncated" in reply.json()["detail"]) == (503, True)
    assert service.client.get("/healthz").status_code == 200
    refused = service.client.post("/v1/check", files={"image": picture}, headers=service.checker)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
    assert (
        service.client.post("/v1/model", json={"file": "guard.simdnn"}, headers=service.auditor).status_code
        == 200
    )
    assert service.client.get("/readyz").status_code == 200


def test_a_shadow_judges_every_image_and_acts_on_none(
    start: Start, folder: Path, picture: bytes, odd_picture: bytes
) -> None:
    service = start(guard=folder / "guard.simdnn", shadow=folder / "other.simdnn")
    until = time.monotonic() + 60
    while service.state.shadow is None:
        assert time.monotonic() < until
        time.sleep(0.01)
    for data in (picture, odd_picture, picture):
        reply = service.client.post("/v1/check", files={"image": data}, headers=service.checker).json()
        assert reply["model_id"] == Guard.read(folder / "guard.simdnn").model_id
    service.client.post("/v1/check?alpha=0.4", files={"image": picture}, headers=service.checker)
    found: dict[str, Any] = {}
    while sum(found.get("pairs", [{}])[0].get(key, 0) for key in ("clean_clean", "attack_attack")) < 3:
        found = service.client.get("/v1/shadow", headers=service.auditor).json() | {}
        found["pairs"] = found["pairs"] or [{}]
        assert time.monotonic() < until, found
    (pair,) = found["pairs"]
    assert (pair["clean_clean"], pair["attack_attack"]) == (2, 1)
    assert pair["shadow_id"] == found["shadow_id"] == Guard.read(folder / "other.simdnn").model_id
    assert found["disagreements"] == []
    assert service.client.get("/v1/shadow", headers=service.checker).status_code == 403
    assert service.client.get("/v1/audit", headers=service.auditor).json()["next"] is None


def test_disagreements_are_listed_in_pages(service: Service) -> None:
    from datetime import UTC, datetime

    row: dict[str, Any] = {
        "time": datetime.now(UTC),
        "path": "a.png",
        "image_sha256": None,
        "model_id": "m",
        "verdict": "clean",
        "score": 1.0,
        "p_value": None,
        "shadow_id": "s",
        "shadow_verdict": "attack",
        "shadow_score": -1.0,
        "shadow_p_value": 0.01,
    }
    ShadowLog(service.state.store).add([row, row | {"shadow_verdict": "clean"}, row])
    page = service.client.get("/v1/shadow?limit=1", headers=service.auditor).json()
    assert [one["id"] for one in page["disagreements"]] == [3]
    rest = service.client.get(f"/v1/shadow?cursor={page['next']}", headers=service.auditor).json()
    assert [one["id"] for one in rest["disagreements"]] == [1]
    assert page["pairs"][0]["clean_attack"] == 2
