"""The prototypes of each class: looked at, removed, relabelled and restored, after a look at what that would change."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import RedirectResponse, Response

from simdnn.atomic import write_whole
from simdnn.audit.records import Action
from simdnn.errors import AuditError, OutputError, SimDNNError
from simdnn.guard.facts import prototype_facts
from simdnn.guard.file import content_of, locked
from simdnn.guard.guard import Guard
from simdnn.service.access import Auditor
from simdnn.service.models import Model
from simdnn.service.pages.editing import REMOVED, Edit, Kind
from simdnn.service.pages.replay import Replay, compare_calibration
from simdnn.service.problems import Problem
from simdnn.service.rendering import twin
from simdnn.service.state import ServiceState, State

router = APIRouter()

PAGE = 48
_replay = Replay()
_editing = asyncio.Lock()


class EditForm(BaseModel):
    """An edit as forms and addresses name it."""

    edit: Kind
    prototype: str = Field(min_length=1, max_length=600)
    label: str | None = Field(None, max_length=500)
    removal: int | None = Field(None, ge=1, le=2**31 - 1)


def _asked(
    edit: Annotated[Kind, Query()],
    prototype: Annotated[str, Query(min_length=1, max_length=600)],
    label: Annotated[str | None, Query(max_length=500)] = None,
    removal: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> EditForm:
    return EditForm(edit=edit, prototype=prototype, label=label, removal=removal)


@twin(router, "/prototypes", "prototypes.html")
def prototypes(
    request: Request,
    state: State,
    who: Auditor,
    label: Annotated[str | None, Query(alias="class", max_length=500)] = None,
    start: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
) -> dict[str, Any]:
    """Show the prototypes of one class, and those that were removed from it."""
    del request, who
    model = state.pipeline.model()
    guard = model.guard
    counts = {name: len(held) for name, held in guard.model.prototypes.classes.items()}
    chosen = next(iter(counts)) if label is None else label
    if chosen not in counts:
        raise Problem(404, f"the guard in use has no class {chosen!r}")
    of_class = [prototype for prototype in guard.model.prototypes if prototype.label == chosen]
    page = of_class[start : start + PAGE]
    return {
        "model_id": model.id,
        "classes": counts,
        "label": chosen,
        "prototypes": [prototype_facts(guard, prototype) for prototype in page],
        "start": start,
        "next": start + PAGE if len(of_class) > start + PAGE else None,
        "removed": [
            {"prototype": action.target, "action": action.id, "time": action.time, "who": action.who}
            for action in _removed(state, model)
            if action.target.rpartition("/")[0] == chosen
        ],
    }


@twin(router, "/prototypes/preview", "preview.html")
def preview(
    request: Request, state: State, who: Auditor, asked: Annotated[EditForm, Depends(_asked)]
) -> dict[str, Any]:
    """Show how many calibration images and recorded images would change their verdict with an edit."""
    del request, who
    model = state.pipeline.model()
    edited = _read(model)
    edit = _edit(state, asked)
    edit.apply(edited)
    before, after = model.judge(None, None), edited.judge()
    return {
        "edit": asked,
        "model_id": model.id,
        "threshold": {"before": before.threshold.offset, "after": after.threshold.offset},
        "calibration": compare_calibration(before, after),
        "recorded": _replay.compare(state.store, model.guard, model.guard.judge(), after),
        "pictured": edit.kind != "restore",
        "classes": list(model.guard.classes),
        "label": asked.prototype.rpartition("/")[0],
    }


@router.post("/prototypes", response_model=None)
async def change(
    state: State,
    who: Auditor,
    asked: Annotated[EditForm, Form()],
    model_id: Annotated[str, Query(max_length=64)],
) -> Response:
    """Edit the guard in use: its file, then the record of it, then the guard in all workers."""
    async with _editing:
        model = state.pipeline.model()
        if model.id != model_id:
            raise Problem(409, "the guard was changed after the preview; look at the preview again")
        edit = _edit(state, asked)
        action = await _made(state, model, edit, who.name)
    label = (edit.label if edit.kind == "relabel" else None) or asked.prototype.rpartition("/")[0]
    return RedirectResponse(f"/prototypes?{urlencode({'class': label, 'done': action})}", 303)


@router.get("/prototypes/picture.jpg", response_model=None)
def picture(state: State, who: Auditor, prototype: Annotated[str, Query(max_length=600)]) -> Response:
    """Return the training image that stands for a prototype."""
    del who
    guard = state.pipeline.model().guard
    shown = guard.exemplar(guard.model.prototypes[prototype].exemplar)
    if not shown.thumbnail:
        raise Problem(404, f"the guard keeps no picture for the prototype {prototype}")
    return Response(shown.thumbnail, media_type="image/jpeg")


async def _made(state: ServiceState, model: Model, edit: Edit, name: str) -> int:
    """Write the edited guard, record the action, and put the guard in use; return the action's number.

    Where one of these fails, the guard before stays in use, and its file is as it was.
    """
    store, number = state.store, 0

    def write() -> tuple[bytes, str, Any, Any]:
        with locked(model.file):
            old = content_of(model.file)
            guard = _read(model)
            what, before, after = edit.apply(guard)
            guard.save(model.file)
        return old, what, before, after

    def record(made: Model) -> None:
        nonlocal number
        number = store.act(
            name,
            what,
            edit.prototype,
            before={"model_id": model.id, **(before or {})},
            after={"model_id": made.id, **(after or {})},
        )

    old, what, before, after = await asyncio.to_thread(write)
    try:
        await state.models.change(model.file, record)
    except Exception as error:
        if not number:  # once it is recorded, it is in use
            await asyncio.to_thread(_put_back, model, old)
        if isinstance(error, SimDNNError) and not isinstance(error, AuditError):
            raise Problem(409, f"the guard in use stays: {error}") from error
        raise
    return number


def _put_back(model: Model, old: bytes) -> None:
    try:
        write_whole(model.file, old, keep_access=True)
    except OSError as error:
        raise OutputError(
            f"cannot write {model.file} as it was before an edit that was not made: {error.strerror}; the guard in "
            "use is still the one before"
        ) from error


def _edit(state: ServiceState, asked: EditForm) -> Edit:
    removal = None
    if asked.edit == "restore" and asked.removal is not None:
        found = state.store.actions(before=asked.removal + 1, limit=1)
        removal = next((action for action in found if action.target == asked.prototype), None)
    return Edit(asked.edit, asked.prototype, asked.label, removal)


def _read(model: Model) -> Guard:
    """Read the guard in use from its file, to be edited; a 409 problem if the file is another one by now."""
    guard = Guard.read(model.file)
    if guard.model_id != model.id:
        raise Problem(
            409,
            f"the file {model.file.name} is another guard than the one in use; load it first: POST /v1/model",
        )
    return guard


def _removed(state: ServiceState, model: Model) -> list[Action]:
    """Return the removals of prototypes that were not restored, the latest first."""
    if state.audit is None:
        return []
    present = {prototype.id for prototype in model.guard.model.prototypes}
    seen: set[str] = set()
    removed = []
    for action in state.audit.actions(what=(REMOVED,), limit=1000):
        if action.target not in present and action.target not in seen:
            removed.append(action)
        seen.add(action.target)
    return removed
