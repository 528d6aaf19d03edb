"""Who may do what: dependencies that a path names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from simdnn.service.problems import Problem
from simdnn.service.sessions import COOKIE, Session
from simdnn.service.state import ServiceState, State

FORM_FIELD = "csrf"
FORM_HEADER = "x-csrf-token"
_SAFE = ("GET", "HEAD", "OPTIONS")

_bearer = HTTPBearer(
    auto_error=False, scheme_name="token", description="A token of the service's token file."
)
_cookie = APIKeyCookie(
    name=COOKIE,
    auto_error=False,
    scheme_name="session",
    description="The session of a person who is logged in.",
)


@dataclass(frozen=True)
class Who:
    """Who asks.

    Attributes
    ----------
    name : as in the file of tokens; ``local`` for anybody on this machine where there is no such file
    role : see :data:`simdnn.service.tokens.ROLES`
    session : the session that it is asked in; None for a bearer's token
    """

    name: str
    role: str
    session: Session | None = None


async def who(
    request: Request,
    state: State,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    cookie: Annotated[str | None, Security(_cookie)],
) -> Who | None:
    """Find out who asks: by bearer token or by session; None for nobody that is known.

    Raises
    ------
    Problem
        401 for a token that is not known; 403 for a session's request that changes something and does not carry the
        session's form token.
    """
    found = None
    if bearer is not None:
        token = state.tokens.find(bearer.credentials)
        if token is None:
            raise _unknown("this token is not known here, or was revoked")
        found = Who(token.name, token.role)
    elif cookie is not None and (session := live_session(state, cookie)) is not None:
        if request.method not in _SAFE:
            await _check_form(request, state, session)
        found = Who(session.name, session.role, session)
    request.state.who = found
    return found


def live_session(state: ServiceState, cookie: str) -> Session | None:
    """Return the session of a cookie; None if it has ended, or its token was revoked or has another role now.

    Where there is a file of tokens, a session that began with a link and not with a token is none.
    """
    session = state.sessions.read(cookie)
    if session is not None and (session.key or state.settings.token_file is not None):
        token = state.tokens.holds(session.key)
        if token is None or token.role != session.role:
            return None
    return session


async def checker(request: Request, found: Annotated[Who | None, Depends(who)], state: State) -> Who:
    """Admit whoever may have images checked; without a file of tokens everybody, for then only this machine can ask."""
    if found is None and state.settings.token_file is None:
        found = Who("local", "checker")
    if found is None:
        raise _unknown("expected a token, as Authorization: Bearer ...; `simdnn token add` makes one")
    request.state.who = found
    return found


async def auditor(found: Annotated[Who | None, Depends(who)]) -> Who:
    """Admit auditors alone."""
    if found is None:
        raise _unknown("expected an auditor's token, as Authorization: Bearer ..., or an auditor's session")
    if found.role != "auditor":
        raise Problem(403, "expected an auditor's token, got a checker's")
    return found


async def known(found: Annotated[Who | None, Depends(who)]) -> Who:
    """Admit whoever is known, in any role."""
    if found is None:
        raise _unknown("expected a token, as Authorization: Bearer ..., or a session; log in first")
    return found


Known = Annotated[Who, Depends(known)]
"""Parameter of a path that whoever is known may use, and nobody else."""

Checker = Annotated[Who, Depends(checker)]
"""Parameter of a path that checkers and auditors may use."""

Auditor = Annotated[Who, Depends(auditor)]
"""Parameter of a path that only auditors may use."""


async def _check_form(request: Request, state: ServiceState, session: Session) -> None:
    given = request.headers.get(FORM_HEADER)
    if given is None and request.headers.get("content-type", "").startswith(
        "application/x-www-form-urlencoded"
    ):
        field = (await request.form(max_fields=1000)).get(FORM_FIELD)
        given = field if isinstance(field, str) else None
    if given is None or not state.sessions.is_form_token(session, given):
        raise Problem(
            403,
            f"expected the session's own form token in the field {FORM_FIELD} or the header {FORM_HEADER}; load the "
            "page anew and send it again",
        )


def _unknown(detail: str) -> Problem:
    return Problem(401, detail, {"WWW-Authenticate": 'Bearer realm="simdnn"'})
