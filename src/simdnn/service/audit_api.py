"""What was recorded, for auditors' programs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from simdnn.errors import AuditError
from simdnn.service.access import Auditor
from simdnn.service.problems import Problem, documented
from simdnn.service.replies import json_reply
from simdnn.service.state import State

router = APIRouter(prefix="/v1/audit", tags=["audit"])

RecordId = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.get("", responses=documented(401, 403, 404, 422, 503))
def records(
    state: State,
    who: Auditor,
    verdict: Literal["clean", "attack", "error"] | None = None,
    label: Literal["attack", "clean"] | None = None,
    unlabelled: bool = False,
    since: datetime | None = None,
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> Response:
    """List records, newest first; ``next`` is the address of the page after, null on the last."""
    del who
    found = state.store.records(
        verdict=verdict, label=label, unlabelled=unlabelled, since=since, before=before, limit=limit + 1
    )
    page = found[:limit]
    return json_reply(
        {
            "records": [record.as_dict() for record in page],
            "next": page[-1].id if len(found) > limit else None,
        }
    )


@router.get("/{record_id}", responses=documented(401, 403, 404, 422, 503))
def record(state: State, who: Auditor, record_id: RecordId) -> Response:
    """Return one record and every label that it was given."""
    del who
    store = state.store
    try:
        found: dict[str, Any] = store.get(record_id).as_dict()
    except AuditError as error:
        if "no record" not in str(error):
            raise
        raise Problem(404, str(error)) from error
    return json_reply(found | {"labels": [label.as_dict() for label in store.labels(record_id)]})
