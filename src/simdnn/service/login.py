"""Logging in, by a one-time link or a token, and out."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from simdnn.service.access import Known, live_session
from simdnn.service.problems import Problem, documented
from simdnn.service.rendering import render, wants_page
from simdnn.service.sessions import COOKIE, Session
from simdnn.service.state import ServiceState, State

router = APIRouter(tags=["sessions"])

_PAGES: dict[int | str, dict[str, Any]] = {
    200: {"description": "A form to log in with.", "content": {"text/html": {}}},
    303: {"description": "Logged in; the cookie is set."},
}


@router.get("/login", responses=_PAGES | documented(401, 422), response_class=HTMLResponse)
def login_page(request: Request, state: State, token: str | None = None, next: str = "/") -> Response:
    """Log in by a one-time link, or show the form that takes a token."""
    if token is None:
        return render("login.html", next=_inside(next), wrong=None)
    session = state.sessions.redeem(token)
    if session is None:
        raise Problem(
            401, "this link was used before, or is too old; ask for a new one, or log in with a token"
        )
    return _logged_in(request, state, session, next)


@router.post(
    "/login",
    responses={303: _PAGES[303], **documented(400, 401, 413, 422)},
    status_code=303,
    response_class=RedirectResponse,
)
def login(
    request: Request,
    state: State,
    token: Annotated[str, Form()],
    next: Annotated[str, Form()] = "/",
) -> Response:
    """Log in with a token."""
    found = state.tokens.find(token)
    if found is None:
        wrong = "this token is not known here, or was revoked"
        if wants_page(request):
            return render("login.html", 401, next=_inside(next), wrong=wrong)
        raise Problem(401, wrong)
    return _logged_in(request, state, state.sessions.open(found.name, found.role, found.sha256), next)


@router.post(
    "/logout",
    responses={303: {"description": "Logged out."}, **documented(400, 401, 403, 413)},
    status_code=303,
    response_class=RedirectResponse,
)
def logout(who: Known, state: State) -> Response:
    """End the session."""
    if who.session is not None:
        state.sessions.end(who.session)
    reply = RedirectResponse("/login", 303)
    reply.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")
    return reply


def _logged_in(request: Request, state: ServiceState, session: Session, target: str) -> Response:
    before = request.cookies.get(COOKIE)
    if before is not None and (old := live_session(state, before)) is not None:
        state.sessions.end(old)
    reply = RedirectResponse(_inside(target), 303)
    reply.set_cookie(
        COOKIE,
        state.sessions.cookie(session),
        max_age=state.sessions.seconds,
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return reply


def _inside(target: str) -> str:
    """Return a path of this service; the start page for anything that leads elsewhere."""
    plain = target.isascii() and target.isprintable()
    return target if plain and target.startswith("/") and not target.startswith(("//", "/\\")) else "/"
