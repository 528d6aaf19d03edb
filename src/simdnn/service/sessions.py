"""Sessions of people: one-time links, signed cookies, and tokens against forged forms."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from secrets import token_hex
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer

COOKIE = "simdnn_session"
LINK_SECONDS = 3600
"""For how long a link can be used."""


@dataclass(frozen=True)
class Session:
    """A person who is logged in.

    Attributes
    ----------
    name, role : as in the file of tokens
    id : of the session
    key : hash of the token that it began with; empty where it began with a link
    start : id of the service's start in which it began; one that began with a link ends with it
    """

    name: str
    role: str
    id: str
    key: str = ""
    start: str = ""


class Sessions:
    """Opens, reads and ends sessions; all workers with the same secret and folder agree about them.

    Parameters
    ----------
    secret : signs cookies and links
    folder : remembers, for this start of the service, links that were used and sessions that were ended
    hours : life of a session
    start : id of this start; links of another are none of ours
    """

    def __init__(self, secret: str, folder: Path, hours: float, start: str) -> None:
        self._sessions = _signer(secret, "session")
        self._links = _signer(secret, "link")
        self._forms = _signer(secret, "form")
        self._folder = folder
        self._start = start
        self.seconds = round(hours * 3600)

    def link(self, name: str, role: str) -> str:
        """Return a token that opens one session: for ``/login?token=...``."""
        return self._links.dumps({"name": name, "role": role, "id": token_hex(16), "start": self._start})

    def redeem(self, link: str) -> Session | None:
        """Open the session of a link; None if it was used before, is too old, or of another start."""
        session = _loaded(self._links, link, LINK_SECONDS)
        if session is None or session.start != self._start:
            return None
        return session if self._mark(session.id) else None

    def open(self, name: str, role: str, key: str) -> Session:
        """Open a session for the holder of a token, whose hash is the key."""
        return Session(name, role, token_hex(16), key, self._start)

    def cookie(self, session: Session) -> str:
        """Return the value of the session's cookie."""
        return self._sessions.dumps(asdict(session))

    def read(self, cookie: str) -> Session | None:
        """Return the session of a cookie; None if it was ended, is too old, or is none of ours."""
        session = _loaded(self._sessions, cookie, self.seconds)
        if session is None or not (session.key or session.start == self._start):
            return None
        return None if self._path(f"ended-{session.id}").exists() else session

    def end(self, session: Session) -> None:
        """End a session: its cookie is worth nothing from now on."""
        self._mark(f"ended-{session.id}")

    def form_token(self, session: Session) -> str:
        """Return what every form of the session must carry, and no other site knows."""
        signed = self._forms.make_signer(self._forms.salt).get_signature(session.id)
        return signed.decode()

    def is_form_token(self, session: Session, given: str) -> bool:
        """Say whether a form carries the session's own token."""
        return compare_digest(self.form_token(session).encode(), given.encode(errors="surrogatepass"))

    def _mark(self, name: str) -> bool:
        """Remember a name; False if it was remembered before."""
        try:
            os.close(os.open(self._path(name), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        return True

    def _path(self, name: str) -> Path:
        return self._folder / f"session-{name}"


def _signer(secret: str, purpose: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret, f"simdnn-{purpose}", signer_kwargs={"digest_method": sha256})


def _loaded(signer: URLSafeTimedSerializer, text: str, seconds: int) -> Session | None:
    try:
        plain: Any = signer.loads(text, max_age=seconds)
    except BadData:
        return None
    return Session(**plain)
