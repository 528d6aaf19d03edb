"""What people did: the append-only list of their actions."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from simdnn.audit.records import Action
from simdnn.service.access import Auditor
from simdnn.service.rendering import twin
from simdnn.service.state import State

router = APIRouter()

PAGE = 50
_LARGE = ("vector", "exemplar_vector", "thumbnail")
"""Parts of a removed prototype, by which it can be restored, and which nobody reads."""


@twin(router, "/actions", "actions.html")
def actions(
    request: Request,
    state: State,
    who: Auditor,
    cursor: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = PAGE,
) -> dict[str, Any]:
    """List the actions, newest first."""
    del request, who
    found = state.store.actions(before=cursor, limit=limit + 1)
    page = found[:limit]
    return {
        "actions": [_readable(action) for action in page],
        "next": page[-1].id if len(found) > limit else None,
    }


def _readable(action: Action) -> dict[str, Any]:
    plain = vars(action).copy()
    for side in ("before", "after"):
        if isinstance(plain[side], dict):
            plain[side] = {name: value for name, value in plain[side].items() if name not in _LARGE}
    return plain
