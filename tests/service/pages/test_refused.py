"""Every path of the pages is refused to whoever is no auditor, and every form to another site."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from itsdangerous import URLSafeTimedSerializer
from starlette.routing import Match
from tests.service.conftest import Service

from simdnn.service.sessions import COOKIE

PATHS = {
    "GET": (
        "/",
        "/queue",
        "/bulk",
        "/records/1",
        "/records/1/profile",
        "/records/1/picture.png",
        "/prototypes",
        "/prototypes/preview?edit=remove&prototype=0/0",
        "/prototypes/picture.jpg?prototype=0/0",
        "/rates",
        "/shadow",
        "/actions",
        "/export.csv",
        "/export.zip",
    ),
    "POST": ("/bulk", "/records/1/label", "/records/1/note", "/undo", "/prototypes?model_id=x"),
}
EVERY = [(method, path) for method, paths in PATHS.items() for path in paths]
TWINS = [
    ("GET", f"{path}.json") for path in ("/queue", "/bulk", "/records/1", "/rates", "/shadow", "/actions")
]


def ask(service: Service, method: str, path: str, **given: Any) -> int:
    status: int = service.client.request(method, path, follow_redirects=False, **given).status_code
    return status


def cookie(value: str) -> dict[str, str]:
    return {"Cookie": f"{COOKIE}={value}"}


def test_the_list_of_paths_here_is_whole(service: Service) -> None:
    from simdnn.service.pages import router

    scopes = [
        {"type": "http", "method": method, "path": path.partition("?")[0], "root_path": "", "headers": []}
        for method, path in EVERY
    ]
    routes = [route for part in _parts(router) for route in part]
    for route in routes:
        if not getattr(route, "path", "").endswith(".json"):
            assert any(route.matches(scope)[0] is Match.FULL for scope in scopes), route


def _parts(router: Any) -> list[list[Any]]:
    from simdnn.service.pages import actions, exports, prototypes, queue, rates, record, shadow

    assert router.routes
    return [part.router.routes for part in (queue, record, prototypes, rates, shadow, actions, exports)]


def test_whoever_is_no_auditor_is_refused(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = service.state.sessions
    live = sessions.cookie(service.session())
    claims = {"name": "a-auditor", "role": "auditor", "id": "1", "key": ""}
    forged = URLSafeTimedSerializer("another secret", "simdnn-session").dumps(claims)
    for method, path in EVERY + TWINS:
        assert ask(service, method, path, headers=service.checker) == 403, path
        assert ask(service, method, path) == 401, path
        assert ask(service, method, path, headers={"Authorization": "Bearer wrong"}) == 401, path
        assert ask(service, method, path, headers=cookie(forged)) == 401, path
    assert ask(service, "GET", "/queue", headers=cookie(live)) == 200
    later = time.time() + sessions.seconds + 2
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: later)
    for method, path in EVERY + TWINS:
        assert ask(service, method, path, headers=cookie(live)) == 401, path


def test_a_form_of_another_site_is_refused(service: Service) -> None:
    sessions = service.state.sessions
    mine, other = service.session(), service.session()
    for path in (*PATHS["POST"], "/logout"):
        for fields in ({}, {"csrf": "guessed"}, {"csrf": sessions.form_token(other)}):
            reply = service.client.post(
                path, headers=cookie(sessions.cookie(mine)), data=fields, follow_redirects=False
            )
            assert reply.status_code == 403, path
            assert "form token" in reply.json()["detail"]


def test_browsers_are_sent_to_log_in_and_back(service: Service) -> None:
    reply = service.client.get("/queue?label=none", headers={"Accept": "text/html"}, follow_redirects=False)
    assert (reply.status_code, reply.headers["location"]) == (303, "/login?next=%2Fqueue%3Flabel%3Dnone")
    wrong = service.client.post("/login", data={"token": "x"}, headers={"Accept": "text/html"})
    assert wrong.status_code == 401
    assert re.search(r'role="alert"[^>]*>this token is not known', wrong.text)
    token = service.auditor["Authorization"].removeprefix("Bearer ")
    right = service.client.post(
        "/login", data={"token": token, "next": "/queue?label=none"}, follow_redirects=False
    )
    assert (right.status_code, right.headers["location"]) == (303, "/queue?label=none")


def test_problems_are_pages_for_people_and_escaped(service: Service) -> None:
    headers = service.auditor | {"Accept": "text/html"}
    reply = service.client.get("/records/77", headers=headers)
    assert reply.status_code == 404
    assert "no record 77" in reply.text
    reply = service.client.get("/queue?label=<script>alert(1)</script>", headers=headers)
    assert reply.status_code == 422
    assert "<script>alert" not in reply.text
