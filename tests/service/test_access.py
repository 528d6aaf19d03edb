"""Who is let in, and who is refused."""

from __future__ import annotations

import os
import re
import stat
import time
from pathlib import Path

import pytest
from itsdangerous import URLSafeTimedSerializer
from starlette.testclient import TestClient
from tests.service.conftest import Service, Start

from simdnn.errors import InputError
from simdnn.service.sessions import COOKIE
from simdnn.service.tokens import TokenBook, add_token, read_tokens, revoke_token


def test_no_token_and_a_wrong_one_are_refused(service: Service) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic d3Jvbmc6d3Jvbmc="}):
        reply = service.client.get("/v1/audit", headers=headers)
        assert reply.status_code == 401
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.headers["www-authenticate"].startswith("Bearer")
        assert reply.json()["error"] == reply.json()["detail"]


def test_a_checkers_token_opens_no_auditors_path(service: Service) -> None:
    reply = service.client.get("/v1/audit", headers=service.checker)
    assert (reply.status_code, reply.json()["detail"]) == (
        403,
        "expected an auditor's token, got a checker's",
    )
    assert service.client.get("/v1/audit", headers=service.auditor).status_code == 200


def test_a_link_opens_one_session(start: Start) -> None:
    service = start(tokens=False)
    link = service.state.sessions.link("local", "auditor")
    reply = service.client.get(f"/login?token={link}&next=/v1/audit", follow_redirects=False)
    assert (reply.status_code, reply.headers["location"]) == (303, "/v1/audit")
    cookie = reply.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert service.client.get("/v1/audit").status_code == 200
    again = TestClient(service.app).get(f"/login?token={link}", follow_redirects=False)
    assert again.status_code == 401
    assert "used before" in again.json()["detail"]


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/\u00e9"]
)
def test_a_login_leads_to_no_other_site(start: Start, target: str) -> None:
    service = start(tokens=False)
    link = service.state.sessions.link("local", "auditor")
    reply = service.client.get("/login", params={"token": link, "next": target}, follow_redirects=False)
    assert reply.headers["location"] == "/"


def _logged_in(service: Service) -> str:
    """Log in as auditor, by a token or where there is none by a link; return the session's form token."""
    if service.auditor:
        token = service.auditor["Authorization"].removeprefix("Bearer ")
        service.client.post("/login", data={"token": token}, follow_redirects=False)
    else:
        link = service.state.sessions.link("local", "auditor")
        service.client.get(f"/login?token={link}", follow_redirects=False)
    session = service.state.sessions.read(service.client.cookies[COOKIE])
    assert session is not None
    return service.state.sessions.form_token(session)


def test_a_cross_site_form_is_refused(service: Service) -> None:
    form = _logged_in(service)
    for fields in ({}, {"csrf": "guessed"}, {"csrf": form[:-1]}, {"csrf": "\u00fc"}):
        assert service.client.post("/logout", data=fields, follow_redirects=False).status_code == 403
    assert service.client.get("/v1/audit").status_code == 200  # nobody was logged out


def test_logging_out_ends_the_session_even_for_a_copy_of_the_cookie(service: Service) -> None:
    form, cookie = _logged_in(service), service.client.cookies[COOKIE]
    assert service.client.post("/logout", data={"csrf": form}, follow_redirects=False).status_code == 303
    assert service.client.get("/v1/audit", headers={"Cookie": f"{COOKIE}={cookie}"}).status_code == 401


def test_a_forged_and_an_expired_cookie_are_refused(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    _logged_in(service)
    cookie = service.client.cookies[COOKIE]
    service.client.cookies.clear()
    claims = {"name": "x", "role": "auditor", "id": "1"}
    forged = URLSafeTimedSerializer("another secret", "simdnn-session").dumps(claims)
    for value in (forged, cookie[:-3] + "abc", "nonsense", ""):
        assert service.client.get("/v1/audit", headers={"Cookie": f"{COOKIE}={value}"}).status_code == 401
    assert service.client.get("/v1/audit", headers={"Cookie": f"{COOKIE}={cookie}"}).status_code == 200
    later = time.time() + service.state.sessions.seconds + 2
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: later)
    assert service.client.get("/v1/audit", headers={"Cookie": f"{COOKIE}={cookie}"}).status_code == 401


def test_a_revoked_token_ends_at_once_with_its_sessions(service: Service, tmp_path: Path) -> None:
    token = service.auditor["Authorization"].removeprefix("Bearer ")
    reply = service.client.post("/login", data={"token": token}, follow_redirects=False)
    assert reply.status_code == 303
    assert service.client.get("/v1/audit").status_code == 200
    revoke_token(tmp_path / "tokens.toml", "a-auditor")
    assert service.client.get("/v1/audit").status_code == 401
    assert service.client.get("/v1/audit", headers=service.auditor).status_code == 401


def test_a_link_and_its_session_end_with_the_start_that_printed_it(start: Start) -> None:
    first = start(tokens=False)
    used, unused = (first.state.sessions.link("local", "auditor") for _ in range(2))
    first.client.get(f"/login?token={used}", follow_redirects=False)
    assert first.client.get("/v1/audit").status_code == 200
    cookie = {"Cookie": f"{COOKIE}={first.client.cookies[COOKIE]}"}
    again = start(tokens=False)  # with the same secret
    for link in (used, unused):
        assert again.client.get(f"/login?token={link}", follow_redirects=False).status_code == 401
    assert again.client.get("/v1/audit", headers=cookie).status_code == 401


def test_a_session_of_a_token_outlives_a_restart(start: Start) -> None:
    first = start()
    cookie = {"Cookie": f"{COOKIE}={first.state.sessions.cookie(first.session())}"}
    assert start().client.get("/v1/audit", headers=cookie).status_code == 200


def test_a_session_without_a_token_is_none_where_there_is_a_file_of_tokens(service: Service) -> None:
    sessions = service.state.sessions
    cookie = sessions.cookie(sessions.open("local", "auditor", ""))
    assert service.client.get("/v1/audit", headers={"Cookie": f"{COOKIE}={cookie}"}).status_code == 401


def test_a_checker_who_logged_in_can_log_out(service: Service) -> None:
    token = service.checker["Authorization"].removeprefix("Bearer ")
    service.client.post("/login", data={"token": token}, follow_redirects=False)
    page = service.client.get("/queue", headers={"Accept": "text/html"})
    assert page.status_code == 403
    form = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert form is not None
    cookie = {"Cookie": f"{COOKIE}={service.client.cookies[COOKIE]}"}
    reply = service.client.post("/logout", data={"csrf": form[1]}, follow_redirects=False)
    assert reply.status_code == 303
    assert service.client.get("/v1/model", headers=cookie).status_code == 401
    assert service.client.post("/logout").status_code == 401


def test_people_without_a_session_are_sent_to_log_in(service: Service) -> None:
    reply = service.client.get("/login?next=/x%22%3E%3Cscript%3E", headers={"Accept": "text/html"})
    assert reply.status_code == 200
    assert "<script>" not in reply.text


def test_every_answer_has_the_protecting_headers(service: Service) -> None:
    for path in ("/healthz", "/login", "/v1/audit", "/nowhere"):
        headers = service.client.get(path).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert re.fullmatch("[0-9a-f]{32}", headers["x-request-id"])
    assert (
        service.client.get("/healthz", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
    )
    assert service.client.get("/healthz", headers={"X-Request-Id": "a b"}).headers["x-request-id"] != "a b"


def test_without_tokens_nobody_is_auditor_but_by_the_link(start: Start) -> None:
    service = start(tokens=False)
    assert service.client.get("/v1/audit").status_code == 401
    _logged_in(service)
    assert service.client.get("/v1/audit").status_code == 200


def test_the_file_keeps_hashes_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    secret = add_token(path, "alice", "auditor")
    assert secret not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = TokenBook(path).find(secret)
    assert found is not None
    assert (found.name, found.role) == ("alice", "auditor")
    assert TokenBook(path).find(secret + "x") is None
    with pytest.raises(InputError, match="has a token of alice already"):
        add_token(path, "alice", "checker")
    with pytest.raises(InputError, match="no role 'boss'; the roles are checker, auditor"):
        add_token(path, "bob", "boss")
    with pytest.raises(InputError, match="expected a name of letters"):
        add_token(path, 'b"\nrole', "checker")
    revoke_token(path, "alice")
    assert read_tokens(path) == ()
    with pytest.raises(InputError, match="no token of alice"):
        revoke_token(path, "alice")


def test_of_two_who_make_the_file_at_once_none_loses_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tokens.toml"
    real_exists, real_open = Path.exists, os.open

    def exists(asked: Path, **given: bool) -> bool:
        found = real_exists(asked, **given)
        if asked == path and not found:  # another is faster, once this one has seen that there is none
            monkeypatch.undo()
            add_token(path, "bob", "checker")
        return found

    def opened(asked: str, flags: int, *rest: int, **given: int) -> int:
        if asked == str(path) and flags & os.O_EXCL:
            monkeypatch.undo()
            add_token(path, "bob", "checker")
        return real_open(asked, flags, *rest, **given)

    monkeypatch.setattr(Path, "exists", exists)
    monkeypatch.setattr(os, "open", opened)
    add_token(path, "alice", "auditor")
    assert [token.name for token in read_tokens(path)] == ["bob", "alice"]


@pytest.mark.parametrize(
    "text",
    ["token = 3", "[[token]]\nname = 'a'", "\xff[", "[[token]]\nname=1\nrole='x'\nsha256=''\ncreated=''"],
)
def test_a_file_that_is_none_is_said_to_be(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError):
        TokenBook(path)
