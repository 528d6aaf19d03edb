"""The guard in use and its shadow, compared."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from simdnn.audit.shadow import ShadowLog
from simdnn.service.access import Auditor
from simdnn.service.problems import documented
from simdnn.service.replies import json_reply
from simdnn.service.state import State

router = APIRouter(prefix="/v1/shadow", tags=["guard"])


class PairBody(BaseModel):
    """How many images had which verdicts of two guards; clean_attack: clean by the one in use, flagged by the other."""

    model_id: str
    shadow_id: str
    clean_clean: int = 0
    clean_attack: int = 0
    attack_clean: int = 0
    attack_attack: int = 0


class DisagreementBody(BaseModel):
    """An image with different verdicts."""

    id: int
    time: str
    path: str
    image_sha256: str | None
    model_id: str
    verdict: str
    score: float | None
    p_value: float | None
    shadow_id: str
    shadow_verdict: str
    shadow_score: float | None
    shadow_p_value: float | None


class ShadowBody(BaseModel):
    """The comparison; ``left_out`` images came too fast for the shadow of this process."""

    shadow_id: str | None
    left_out: int
    pairs: list[PairBody]
    disagreements: list[DisagreementBody]
    next: int | None = Field(description="Give it as before for the page after; null on the last.")


@router.get("", responses=documented(401, 403, 404, 422, 503), response_model=ShadowBody)
def shadow(
    state: State,
    who: Auditor,
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> Response:
    """Compare the verdicts of the guard in use and of its shadow, and list where they differ, newest first."""
    del who
    log = ShadowLog(state.store)
    pairs: dict[tuple[str, str], PairBody] = {}
    for (model_id, shadow_id, own, other), number in log.counts().items():
        pair = pairs.setdefault((model_id, shadow_id), PairBody(model_id=model_id, shadow_id=shadow_id))
        if (key := f"{own}_{other}") in PairBody.model_fields:
            setattr(pair, key, number)
    found = log.disagreements(before=before, limit=limit + 1)
    page = found[:limit]
    running = state.shadow
    return json_reply(
        {
            "shadow_id": None if running is None else running.model.id,
            "left_out": 0 if running is None else running.left_out,
            "pairs": [pair.model_dump() for pair in pairs.values()],
            "disagreements": [vars(record) | {"time": record.time.isoformat()} for record in page],
            "next": page[-1].id if len(found) > limit else None,
        }
    )
