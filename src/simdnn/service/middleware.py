"""What every request passes: an id, a bound on its size, a line in the log, and headers that protect people."""

from __future__ import annotations

import re
import time
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simdnn.service.problems import Problem, problem_reply

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET = ("/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready")

_log = structlog.get_logger("simdnn.service")


class Protected:
    """Sets the protecting headers, refuses too large bodies, and logs one line a request.

    Parameters
    ----------
    app : the application
    max_body : bytes that a body may have
    """

    def __init__(self, app: ASGIApp, max_body: int) -> None:
        self.app = app
        self.max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope)
        request_id = given.get("x-request-id", "")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        started, status, received = time.perf_counter(), 0, 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_body:
                raise Problem(413, self._too_large("more"))
            return message

        async def protected(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
                headers["x-request-id"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                length = given.get("content-length", "0")
                if length.isdecimal() and int(length) > self.max_body:
                    reply = problem_reply(413, self._too_large(length), {"connection": "close"})
                    await reply(scope, receive, protected)
                else:
                    await self.app(scope, bounded, protected)
            finally:
                _note(scope, status, time.perf_counter() - started)

    def _too_large(self, found: str) -> str:
        return f"expected a body of at most {self.max_body} bytes, got {found}; send fewer or smaller images"


def _note(scope: Scope, status: int, seconds: float) -> None:
    if scope["path"] in _QUIET and status < 400:
        return
    who = scope["state"].get("who")
    _log.info(
        "request",
        method=scope["method"],
        path=scope["path"],
        status=status,
        milliseconds=round(1000 * seconds, 1),
        token=None if who is None else who.name,
    )
