"""The queue: records as a grid of pictures, and one label for all that match its filters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from simdnn.audit.summary import Summary
from simdnn.service.access import Auditor
from simdnn.service.pages.filters import Asked
from simdnn.service.problems import Problem
from simdnn.service.rendering import twin
from simdnn.service.state import State

router = APIRouter()

PAGE = 48
"""Pictures on a page: full rows in grids of 2, 3, 4, 6 and 8."""
SAMPLE = 12
"""Pictures that are shown before all that match are labelled."""

HumanLabel = Literal["attack", "clean", "unsure"]


@router.get("/", response_model=None)
def start(who: Auditor) -> Response:
    """Lead to the queue."""
    del who
    return RedirectResponse("/queue", 303)


@twin(router, "/queue", "queue.html")
def queue(
    request: Request,
    state: State,
    who: Auditor,
    filters: Asked,
    limit: Annotated[int, Query(ge=1, le=1000)] = PAGE,
) -> dict[str, Any]:
    """Show the records that the filters let through, newest first."""
    del request, who
    store = state.store
    page = store.page(after=filters.cursor, size=limit, **filters.selection)
    return {
        "filters": filters,
        "records": page.records,
        "next": page.next,
        "choices": Summary(store).choices(),
    }


@twin(router, "/bulk", "bulk.html")
def bulk(request: Request, state: State, who: Auditor, filters: Asked) -> dict[str, Any]:
    """Show how many records one label would be given to; those that come meanwhile are not among them."""
    del request, who
    store = state.store
    newest = store.page(size=1).records
    filters = filters.model_copy(
        update={"cursor": None, "up_to": filters.up_to or (newest[0].id if newest else 1)}
    )
    return {
        "filters": filters,
        "count": store.count(**filters.selection),
        "records": store.page(size=SAMPLE, **filters.selection).records,
    }


@router.post("/bulk", response_model=None)
def label_all(
    state: State,
    who: Auditor,
    filters: Asked,
    label: Annotated[HumanLabel, Form()],
    count: Annotated[int, Form(ge=1)],
    note: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """Give all records that match one label, if they are as many as the person saw."""
    if filters.up_to is None:
        raise Problem(422, "expected up_to, the number of the newest record that was counted; begin at /bulk")
    action, _ = state.store.bulk_label(
        label, expected=count, by=who.name, note=note.strip() or None, **filters.selection
    )
    back = filters.query(up_to=None, cursor=None, done=action)
    return RedirectResponse(f"/queue?{back}", 303)
