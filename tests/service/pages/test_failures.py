"""Pages where a file is damaged, too large, or cannot be written: the reason is told, and the guard stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.service.conftest import Service, Start

from simdnn import atomic
from simdnn.audit.store import AuditStore
from simdnn.errors import AuditError


def own_guard(digits: Path, folder: Path) -> Path:
    guard = folder / "guard.simdnn"
    guard.write_bytes((digits / "guard.simdnn").read_bytes())
    (folder / "weights.safetensors").symlink_to(digits / "weights.safetensors")
    return guard


@pytest.fixture
def edited(start: Start, digits: Path, tmp_path: Path) -> Service:
    """A service on a guard file of its own."""
    return start(guard=own_guard(digits, tmp_path))


def removed(service: Service) -> Any:
    """Ask for the removal of a prototype of the guard in use."""
    model = service.state.models.current
    assert model is not None
    return service.client.post(
        f"/prototypes?model_id={model.id}",
        headers=service.auditor,
        data={"edit": "remove", "prototype": next(iter(model.guard.model.prototypes)).id},
        follow_redirects=False,
    )


def test_without_a_store_a_prototype_stays(start: Start, digits: Path, tmp_path: Path) -> None:
    service = start(guard=own_guard(digits, tmp_path), audit=None)
    reply = removed(service)
    assert (reply.status_code, "--audit" in reply.json()["detail"]) == (404, True)
    stays(service, digits)


@pytest.mark.parametrize("error", [AuditError, RuntimeError])
def test_an_edit_that_cannot_be_recorded_is_taken_back(
    edited: Service, digits: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    in_use = edited.state.models.current

    def full(*_: object, **__: object) -> int:
        raise error("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(AuditStore, "act", full)
        assert removed(edited).status_code == (503 if error is AuditError else 500)
    assert edited.state.models.current is in_use
    stays(edited, digits)
    assert removed(edited).status_code == 303


def test_a_folder_of_the_guard_that_cannot_be_written_is_503(
    edited: Service, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object, **__: object) -> object:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as broken:
        broken.setattr(atomic, "mkstemp", read_only)
        reply = removed(edited)
    assert reply.status_code == 503
    said = reply.json()["detail"]
    assert said.startswith("the guard's folder cannot be written: cannot write ")
    assert said.endswith("Permission denied; let the service's user write there, and do it again")
    stays(edited, digits)


def test_an_edit_that_can_neither_be_made_nor_taken_back_is_503(
    edited: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_use = edited.state.models.current

    def full(*_: object, **__: object) -> object:
        raise OSError(28, "No space left on device")

    def unrecorded(*_: object, **__: object) -> int:
        monkeypatch.setattr(atomic, "mkstemp", full)
        raise AuditError("the disk is full")

    monkeypatch.setattr(AuditStore, "act", unrecorded)
    reply = removed(edited)
    assert reply.status_code == 503
    assert "as it was before an edit that was not made: No space left on device" in reply.json()["detail"]
    assert edited.state.models.current is in_use


def test_a_damaged_file_of_the_guard_is_409(edited: Service) -> None:
    model = edited.state.models.current
    assert model is not None
    victim = next(iter(model.guard.model.prototypes)).id
    model.file.write_bytes(model.file.read_bytes()[:-9])
    reply = edited.client.get(
        f"/prototypes/preview.json?edit=remove&prototype={victim}", headers=edited.auditor
    )
    assert (reply.status_code, "truncated" in reply.json()["detail"]) == (409, True)
    assert removed(edited).status_code == 409


@pytest.mark.parametrize("path", ["picture.png", "thumbnail.png", "difference.png", "profile.json"])
def test_a_picture_larger_than_the_limit_is_422(watched: Service, path: str) -> None:
    model, settings = watched.state.models.current, watched.state.settings
    assert model is not None
    watched.state.settings = replace(settings, max_pixels=9)
    model.guard.extractor.limits = watched.state.settings.limits
    reply = watched.client.get(f"/records/1/{path}", headers=watched.auditor)
    assert (reply.status_code, "at most 9 pixels" in reply.json()["detail"]) == (422, True)


def stays(service: Service, digits: Path) -> None:
    """The guard's file and the guard in use are as they were."""
    model = service.state.models.current
    assert model is not None
    assert model.file.read_bytes() == (digits / "guard.simdnn").read_bytes()
    assert model.id == service.client.get("/readyz").json()["model_id"]
    assert len(list(model.guard.model.prototypes)) == len(list(model.guard.read(model.file).model.prototypes))
