"""What was recorded, for auditors' programs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.responses import Response

from simdnn.errors import UnknownRecordError
from simdnn.service.access import Auditor
from simdnn.service.pages.filters import Filters
from simdnn.service.problems import Problem, documented
from simdnn.service.replies import json_reply
from simdnn.service.state import State

router = APIRouter(prefix="/v1/audit", tags=["audit"])

RecordId = Annotated[int, Path(ge=1, le=2**31 - 1)]


class AuditQuery(Filters, frozen=True):
    """The filters of the pages' addresses, by default all records, and the size of a page."""

    verdict: Literal["attack", "clean", "error", "any"] = "any"
    limit: int = Field(50, ge=1, le=1000)


@router.get("", responses=documented(401, 403, 404, 422, 503))
def records(state: State, who: Auditor, asked: Annotated[AuditQuery, Query()]) -> Response:
    """List records, newest first; ``next`` is the ``cursor`` of the page after, null on the last."""
    del who
    page = state.store.page(after=asked.cursor, size=asked.limit, **asked.selection)
    return json_reply({"records": [record.as_dict() for record in page.records], "next": page.next})


@router.get("/{record_id}", responses=documented(401, 403, 404, 422, 503))
def record(state: State, who: Auditor, record_id: RecordId) -> Response:
    """Return one record and every label that it was given."""
    del who
    store = state.store
    try:
        found: dict[str, Any] = store.get(record_id).as_dict()
    except UnknownRecordError as error:
        raise Problem(404, str(error)) from error
    return json_reply(found | {"labels": [label.as_dict() for label in store.labels(record_id)]})
