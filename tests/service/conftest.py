"""Services on the digits' guard, in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from PIL import Image, ImageOps
from starlette.testclient import TestClient

from simdnn.service.app import create_app
from simdnn.service.sessions import Session
from simdnn.service.settings import Settings
from simdnn.service.state import ServiceState
from simdnn.service.tokens import add_token


@dataclass
class Service:
    """A running service, who may ask it, and clients of it."""

    app: FastAPI
    client: TestClient
    checker: dict[str, str]
    auditor: dict[str, str]

    @property
    def state(self) -> ServiceState:
        state: ServiceState = self.app.state.service
        return state

    def session(self, role: str = "auditor") -> Session:
        """Open a session of the holder of a token."""
        (token,) = (token for token in self.state.tokens.tokens if token.role == role)
        return self.state.sessions.open(token.name, token.role, token.sha256)


Start = Callable[..., Service]


def wait_ready(client: Any) -> None:
    """Wait until the guard is loaded and warm."""
    until = time.monotonic() + 120
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < until, client.get("/readyz").text
        time.sleep(0.02)


@pytest.fixture
def start(digits: Path, tmp_path: Path) -> Iterator[Start]:
    """Start a service with settings of one's own; ``tokens=False`` for one without a file of tokens."""
    with _starter(digits, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def start_module(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """As ``start``, for services that all tests of a module ask."""
    with _starter(digits, tmp_path_factory.mktemp("service")) as made:
        yield made


@contextmanager
def _starter(digits: Path, folder: Path) -> Iterator[Start]:
    with ExitStack() as running:

        def made(*, tokens: bool = True, ready: bool = True, **settings: Any) -> Service:
            book, headers = folder / "tokens.toml", {}
            if tokens and not book.exists():
                for role in ("checker", "auditor"):
                    headers[role] = {"Authorization": f"Bearer {add_token(book, f'a-{role}', role)}"}
            given: dict[str, Any] = {
                "guard": digits / "guard.simdnn",
                "runtime": folder,
                "secret": "a secret of the tests",
                "audit": str(folder / "audit.db"),
                "token_file": book if tokens else None,
                "trust": ("simdnn.networks.digits:digits_network",),
                "max_delay_ms": 0.0,
                "near_duplicates": 0,
            }
            app = create_app(Settings(**given | settings))
            client = running.enter_context(TestClient(app, raise_server_exceptions=False))
            if ready:
                wait_ready(client)
            return Service(app, client, headers.get("checker", {}), headers.get("auditor", {}))

        yield made


@pytest.fixture
def service(start: Start) -> Service:
    """A service with an audit store and a checker's and an auditor's token."""
    return start()


@pytest.fixture(scope="session")
def picture(digits: Path) -> bytes:
    """A clean picture that the guard has not seen."""
    return min((digits / "test" / "3").glob("*.png")).read_bytes()


@pytest.fixture(scope="session")
def odd_picture(picture: bytes) -> bytes:
    """A picture that the guard flags: a negative."""
    content = BytesIO()
    ImageOps.invert(Image.open(BytesIO(picture)).convert("RGB")).save(content, "PNG")
    return content.getvalue()
