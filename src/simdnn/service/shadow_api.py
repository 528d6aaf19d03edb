"""The guard in use and its shadow, compared."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from simdnn.audit.shadow import Pair, ShadowLog, ShadowRecord
from simdnn.service.access import Auditor
from simdnn.service.problems import documented
from simdnn.service.replies import json_reply
from simdnn.service.state import ServiceState, State

router = APIRouter(prefix="/v1/shadow", tags=["guard"])


class ShadowQuery(BaseModel):
    """Which images with different verdicts are listed, by default all.

    Attributes
    ----------
    model, shadow : those that these guards judged
    verdict : those with this verdict of the guard in use
    cursor : where the page before ended
    limit : largest number of images
    """

    model: str | None = Field(None, max_length=64)
    shadow: str | None = Field(None, max_length=64)
    verdict: Literal["attack", "clean"] | None = None
    cursor: int | None = Field(None, ge=1, le=2**31 - 1)
    limit: int = Field(48, ge=1, le=1000)

    def query(self, cursor: int | None) -> str:
        """Return the query of an address that lists these images, from another place on."""
        moved = self.model_copy(update={"cursor": cursor})
        return urlencode(moved.model_dump(exclude_none=True, exclude_defaults=True))


AskedShadow = Annotated[ShadowQuery, Query()]
"""Parameter of a path that lists disagreements."""


class ShadowBody(BaseModel):
    """The comparison; ``left_out`` images came too fast for the shadow of this process."""

    shadow_id: str | None
    left_out: int
    pairs: list[Pair]
    disagreements: list[ShadowRecord]
    next: int | None = Field(description="The cursor of the page after; null on the last.")


@router.get("", responses=documented(401, 403, 404, 422, 503), response_model=ShadowBody)
def shadow(state: State, who: Auditor, asked: AskedShadow) -> Response:
    """Compare the verdicts of the guard in use and of its shadow, and list where they differ, newest first."""
    del who
    return json_reply(comparison(state, asked))


def comparison(state: ServiceState, asked: ShadowQuery) -> dict[str, Any]:
    """Return the fields of :class:`ShadowBody`."""
    log, running = ShadowLog(state.store), state.shadow
    found = log.disagreements(
        model_id=asked.model,
        shadow_id=asked.shadow,
        verdict=asked.verdict,
        before=asked.cursor,
        limit=asked.limit + 1,
    )
    page = found[: asked.limit]
    return {
        "shadow_id": None if running is None else running.model.id,
        "left_out": 0 if running is None else running.left_out,
        "pairs": log.pairs(),
        "disagreements": page,
        "next": page[-1].id if len(found) > asked.limit else None,
    }
