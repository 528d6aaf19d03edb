"""Errors as RFC 9457 problems, with a member ``error`` for clients of the Open Inference Protocol."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from simdnn.errors import AuditError, ImageReadError, InputError, ModelFileError, OutputError
from simdnn.images.reading import one_line
from simdnn.service.rendering import render, wants_page
from simdnn.service.replies import json_reply

PROBLEM = "application/problem+json"

_log = logging.getLogger(__name__)


class ProblemBody(BaseModel):
    """An error, as RFC 9457 has it; ``error`` repeats ``detail`` for clients of the Open Inference Protocol."""

    type: str
    title: str
    status: int
    detail: str
    error: str


class Problem(HTTPException):
    """An error that the client is told.

    Parameters
    ----------
    status : HTTP status
    detail : what was expected, what was found, and what to do
    headers : further headers of the answer
    """

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(
            status, one_line(detail) if len(detail) <= 200 else " ".join(detail.split()), headers
        )


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return how a path's errors stand in the OpenAPI description."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
        }
        for status in statuses
    }


def problem_reply(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Return a problem as an answer."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "error": detail,
    }
    return json_reply(body, status, headers, media_type=PROBLEM)


def answer_problems(app: FastAPI) -> None:
    """Have all errors of an application answered as problems; people without a session are sent to log in."""

    def answer(request: Request, status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
        if not wants_page(request):
            return problem_reply(status, detail, headers)
        session = getattr(getattr(request.state, "who", None), "session", None)
        form = None if session is None else request.app.state.service.sessions.form_token(session)
        page = render("problem.html", status, title=HTTPStatus(status).phrase, detail=detail, csrf=form)
        page.headers.update(headers or {})
        return page

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if error.status_code == 401 and request.method == "GET" and wants_page(request):
            here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?next={quote(here, safe='')}", 303)
        return answer(request, error.status_code, str(error.detail), headers)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:5])
        return answer(request, 422, one_line(f"the request does not fit: {said}"))

    async def mistaken(request: Request, error: Exception) -> Response:
        return answer(request, 422, " ".join(str(error).split()))

    async def unusable(request: Request, error: Exception) -> Response:
        return answer(request, 409, f"the guard's file cannot be used: {' '.join(str(error).split())}")

    async def unwritten(request: Request, error: Exception) -> Response:
        _log.error("guard not written: %s", error)
        return answer(
            request,
            503,
            f"the guard's folder cannot be written: {' '.join(str(error).split())}; let the service's user write "
            "there, and do it again",
        )

    async def unrecorded(request: Request, error: Exception) -> Response:
        _log.error("audit store failed: %s", error)
        return answer(
            request, 503, "the audit store cannot be used now; ask again later", {"Retry-After": "5"}
        )

    async def crashed(request: Request, error: Exception) -> Response:
        _log.error("internal error", exc_info=error)
        return answer(request, 500, "an internal error, which the service's log describes")

    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(InputError, mistaken)
    app.add_exception_handler(ImageReadError, mistaken)
    app.add_exception_handler(ModelFileError, unusable)
    app.add_exception_handler(OutputError, unwritten)
    app.add_exception_handler(AuditError, unrecorded)
    app.add_exception_handler(Exception, crashed)
