"""One image: its picture, what its verdict rests on, and what people said of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Path, Query, Request
from starlette.responses import RedirectResponse, Response

from simdnn.audit.labelling import BULK, BULK_UNDO, LABEL, NOTE, UNDO
from simdnn.audit.records import AuditRecord
from simdnn.audit.store import AuditStore
from simdnn.errors import UnknownRecordError
from simdnn.rules.inputs import RuleInput
from simdnn.service.access import Auditor
from simdnn.service.pages import pictures
from simdnn.service.pages.filters import Asked
from simdnn.service.pages.plots import calibration_scores, histogram
from simdnn.service.pages.queue import HumanLabel
from simdnn.service.pages.replay import batches
from simdnn.service.problems import Problem
from simdnn.service.rendering import twin
from simdnn.service.state import ServiceState, State

router = APIRouter()

SIMILAR = 8
"""Similar flagged images that are shown."""

LATEST = 500
"""Latest actions among which the one to be undone is looked for."""

RecordId = Annotated[int, Path(ge=1, le=2**31 - 1)]
Where = Annotated[Literal["queue", "record"], Query(alias="from")]


@twin(router, "/records/{record_id:int}", "record.html")
def record(
    request: Request, state: State, who: Auditor, record_id: RecordId, filters: Asked
) -> dict[str, Any]:
    """Show one record, with the next and the previous one among those of the filters."""
    del request, who
    store = state.store
    found = record_of(state, record_id)
    model = state.models.current
    own = model if model is not None and model.id == found.model_id else None
    score, threshold = found.score, found.threshold
    plot = None
    if (
        own is not None
        and own.guard.settings.rule == found.rule
        and score is not None
        and threshold is not None
    ):
        plot = histogram(calibration_scores(own), score, threshold)
    newer, older = store.around(found, **filters.selection)
    known = set() if model is None else {prototype.id for prototype in model.guard.model.prototypes}
    return {
        "filters": filters,
        "record": found,
        "own_model": own is not None,
        "plot": plot,
        "profile": own is not None and bool(found.image_kept) and bool(own.guard.rule.views),
        "pictured": [neighbour.prototype for neighbour in found.evidence if neighbour.prototype in known],
        "labels": store.labels(record_id),
        "newer": newer,
        "older": older,
        "similar": [other for other, _ in store.similar(found, limit=SIMILAR)],
        "gain": pictures.GAIN,
    }


@twin(router, "/records/{record_id:int}/profile", "profile.html")
def profile(request: Request, state: State, who: Auditor, record_id: RecordId) -> dict[str, Any]:
    """Show by how much each source of evidence deviates from clean images; the networks look at the image again."""
    del request, who
    found = record_of(state, record_id)
    model = state.pipeline.model()
    if model.id != found.model_id:
        raise Problem(409, "this record is of another guard than the one in use")
    (batch,) = batches(model.guard, [_image(state, found)])
    if batch.errors:
        raise Problem(422, f"the image of record {record_id} cannot be read: {batch.errors[0]}")
    rule = model.guard.rule
    (deviations,) = rule.explain(RuleInput.of(batch, model.guard.model))
    return {"record": found, "deviations": deviations}


@router.get("/records/{record_id:int}/{kind}.png", response_model=None)
def image(
    state: State, who: Auditor, record_id: RecordId, kind: Literal["picture", "thumbnail", "difference"]
) -> Response:
    """Return a record's image as a picture, or its difference to a denoised view."""
    del who
    data = _image(state, record_of(state, record_id))
    limits = state.settings.limits
    if kind == "difference":
        shown = pictures.difference(data, limits)
    else:
        shown = pictures.picture(data, pictures.LARGE if kind == "picture" else pictures.THUMBNAIL, limits)
    return Response(
        shown, media_type="image/png", headers={"cache-control": "private, max-age=86400, immutable"}
    )


@router.post("/records/{record_id:int}/label", response_model=None)
def label(
    state: State,
    who: Auditor,
    record_id: RecordId,
    filters: Asked,
    label: Annotated[HumanLabel, Form()],
    back: Where = "record",
) -> Response:
    """Label one record."""
    record_of(state, record_id)
    state.store.label(record_id, label, by=who.name)
    return _back(filters.query(), record_id if back == "record" else None)


@router.post("/records/{record_id:int}/note", response_model=None)
def note(
    state: State,
    who: Auditor,
    record_id: RecordId,
    filters: Asked,
    note: Annotated[str, Form(max_length=2000)],
) -> Response:
    """Add a note to a record; the label that stands stays."""
    record_of(state, record_id)
    state.store.label(record_id, None, by=who.name, note=note.strip())
    return _back(filters.query(), record_id)


@router.post("/undo", response_model=None)
def undo(
    state: State,
    who: Auditor,
    filters: Asked,
    record: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> Response:
    """Take back the latest label, note or bulk label of this person that still stands."""
    latest = latest_labelling(state.store, who.name)
    if latest is None:
        raise Problem(409, "there is nothing that you could undo")
    action, _ = state.store.undo(latest, by=who.name)
    return _back(filters.query(done=action), record)


def latest_labelling(store: AuditStore, name: str) -> int | None:
    """Return the number of a person's latest labelling that was not undone; None if there is none among the latest."""
    undone: set[str] = set()
    for action in store.actions(what=(LABEL, NOTE, BULK, UNDO, BULK_UNDO), limit=LATEST):
        if action.what in (UNDO, BULK_UNDO):
            undone.add(action.target)
        elif action.who == name and f"action {action.id}" not in undone:
            return action.id
    return None


def record_of(state: ServiceState, record_id: int) -> AuditRecord:
    """Return a record; a 404 problem if there is none."""
    try:
        return state.store.get(record_id)
    except UnknownRecordError as error:
        raise Problem(404, str(error)) from error


def _image(state: ServiceState, found: AuditRecord) -> bytes:
    data = state.store.image(found)
    if data is None:
        raise Problem(
            404, f"the image of record {found.id} was not kept; start the service with --audit-images"
        )
    return data


def _back(query: str, record_id: int | None) -> Response:
    path = "/queue" if record_id is None else f"/records/{record_id}"
    return RedirectResponse(f"{path}?{query}" if query else path, 303)
