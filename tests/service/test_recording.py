"""Verdicts on their way into the store, and a store that fails in ways of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.service.conftest import Service, Start

from simdnn.audit.shadow import ShadowLog
from simdnn.audit.store import AuditStore
from simdnn.errors import AuditError
from simdnn.service.shadow import Shadow


class OfABackEndError(Exception):
    """What a storage back end raises that knows nothing of Python's errors of files."""


def failing(*_: object, **__: object) -> list[int]:
    raise OfABackEndError("the bucket is gone")


def checked(service: Service, picture: bytes) -> int:
    reply = service.client.post("/v1/check", files={"image": picture}, headers=service.checker)
    status: int = reply.status_code
    return status


def test_recording_goes_on_after_an_error_of_a_back_end(
    start: Start, odd_picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start(time_limit=20.0)
    with monkeypatch.context() as broken:
        broken.setattr(AuditStore, "record_all", failing)
        reply = service.client.post("/v1/check", files={"image": odd_picture}, headers=service.checker)
        assert (reply.status_code, "could not be recorded" in reply.json()["detail"]) == (503, True)
    assert checked(service, odd_picture) == 200
    assert service.state.store.count() == 1


def test_a_store_that_fails_is_not_taken_for_one_without_the_record(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object) -> None:
        raise AuditError("no record can be read: the database is damaged")

    assert service.client.get("/v1/audit/1", headers=service.auditor).status_code == 404
    monkeypatch.setattr(AuditStore, "get", damaged)
    assert service.client.get("/v1/audit/1", headers=service.auditor).status_code == 503


def test_the_shadow_goes_on_after_an_error_of_a_back_end(
    start: Start, digits: Path, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start(shadow=digits / "guard.simdnn")
    shadow = shadow_of(service)
    with monkeypatch.context() as broken:
        broken.setattr(ShadowLog, "add", failing)
        assert checked(service, picture) == 200
        wait_for(lambda: shadow.left_out == 1)
    assert checked(service, picture) == 200
    wait_for(lambda: bool(ShadowLog(service.state.store).pairs()))


def test_a_shadow_whose_thread_ended_is_closed_though_its_queue_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Shadow, "_run", lambda _: None)
    shadow = Shadow(None, None, most=1, max_batch=1)  # type: ignore[arg-type]
    shadow._waiting.put_nowait((None, None))  # type: ignore[arg-type]
    closing = threading.Thread(target=shadow.close, daemon=True)
    closing.start()
    closing.join(30)
    assert not closing.is_alive()


def shadow_of(service: Service) -> Shadow:
    wait_for(lambda: service.state.shadow is not None)
    assert service.state.shadow is not None
    return service.state.shadow


def wait_for(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)
