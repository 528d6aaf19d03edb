"""Images in, verdicts out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from simdnn.guard.verdict import Verdict
from simdnn.rules.registry import RULES
from simdnn.service.access import Checker, Who
from simdnn.service.jobs import Answer, Question
from simdnn.service.problems import Problem, documented
from simdnn.service.replies import json_reply
from simdnn.service.state import ServiceState, State
from simdnn.service.uploads import one_upload, openapi_body, several_uploads

router = APIRouter(prefix="/v1/check", tags=["check"])

ERRORS = documented(400, 401, 403, 408, 413, 415, 422, 429, 500, 503)

Rule = Annotated[
    str | None, Query(description=f"Instead of the guard's own: {', '.join(RULES)}.", max_length=64)
]
Alpha = Annotated[float | None, Query(description="False-alarm rate instead of the guard's own.", gt=0, lt=1)]


class NeighbourBody(BaseModel):
    """A prototype that the image was compared with."""

    prototype: str
    label: str
    similarity: float
    exemplar: str


class VerdictBody(BaseModel):
    """A verdict as ``simdnn check --json`` prints it, with the guard's id and the number of its record."""

    path: str = Field(description="The name that the image came with.")
    verdict: str = Field(description="clean, attack, or error for an image that cannot be read.")
    label: str | None
    classifier_label: str | None
    score: float | None
    p_value: float | None
    threshold: float | None
    prototype: str | None
    rule: str | None
    evidence: list[NeighbourBody]
    error: str | None
    image_sha256: str | None
    p_value_clean: float | None
    p_value_mixture: float | None
    opinion_class: str | None
    opinion: float | None
    certified_radius: float | None
    model_id: str
    record: int | None = Field(
        description="Number in the audit store, where the verdict is by now; null if not kept."
    )


class VerdictsBody(BaseModel):
    """The verdicts on the images of a request, in their order."""

    verdicts: list[VerdictBody]


@router.post("", responses=ERRORS, response_model=VerdictBody, openapi_extra=openapi_body(several=False))
async def check(
    request: Request, state: State, who: Checker, rule: Rule = None, alpha: Alpha = None
) -> Response:
    """Judge one image: the body, or the field ``image`` of a form."""
    with state.pipeline.room.holding(1):
        async with limited(state, "receive the image", 408):
            upload = await one_upload(request)
        async with limited(state, "judge the image", 503):
            (answer,) = await state.pipeline.check([upload], question(request, who, rule, alpha))
    if isinstance(answer, Problem):
        raise answer
    return json_reply(plain(answer))


@router.post(
    "/batch", responses=ERRORS, response_model=VerdictsBody, openapi_extra=openapi_body(several=True)
)
async def check_batch(
    request: Request, state: State, who: Checker, rule: Rule = None, alpha: Alpha = None
) -> Response:
    """Judge all files of a form, one verdict each; one that cannot be read has the verdict ``error``."""
    room, most = state.pipeline.room, min(state.settings.max_parts, state.settings.queue)
    with room.holding(1):
        async with limited(state, "receive the images", 408):
            uploads = await several_uploads(request, most)
        with room.holding(len(uploads) - 1):
            async with limited(state, "judge the images", 503):
                answers = await state.pipeline.check(uploads, question(request, who, rule, alpha))
    refused = [answer for answer in answers if isinstance(answer, Problem) and answer.status_code >= 500]
    if refused:
        raise refused[0]
    model_id = state.pipeline.model().id
    verdicts = [
        plain(Answer(Verdict(upload.name, "error", error=answer.detail), model_id))
        if isinstance(answer, Problem)
        else plain(answer)
        for upload, answer in zip(uploads, answers, strict=True)
    ]
    return json_reply({"verdicts": verdicts})


def plain(answer: Answer) -> dict[str, Any]:
    """Return an answer as plain values for JSON."""
    return answer.verdict.as_dict() | {"model_id": answer.model_id, "record": answer.record}


def question(request: Request, who: Who, rule: str | None, alpha: float | None) -> Question:
    """Return how the images of a request are to be judged."""
    return Question(rule, alpha, who.name, request.state.request_id)


@asynccontextmanager
async def limited(state: ServiceState, what: str, status: int) -> AsyncIterator[None]:
    """Bound the time of a block by the service's limit; a problem of this status beyond it."""
    seconds = state.settings.time_limit
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        headers = {"Retry-After": "1"} if status == 503 else {"Connection": "close"}
        raise Problem(status, f"expected to {what} within {seconds:g} s; ask again later", headers) from error
