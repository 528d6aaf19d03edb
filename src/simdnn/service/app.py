"""The application: all paths, and what they share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI

from simdnn import __version__
from simdnn.audit.store import AuditStore
from simdnn.errors import SimDNNError
from simdnn.service import audit_api, health, login, pages
from simdnn.service.middleware import Protected
from simdnn.service.models import Models
from simdnn.service.problems import answer_problems
from simdnn.service.sessions import Sessions
from simdnn.service.settings import Settings
from simdnn.service.state import ServiceState
from simdnn.service.tokens import TokenBook


def create_app(settings: Settings, *, on_failure: Callable[[SimDNNError], None] | None = None) -> FastAPI:
    """Make the application. When it starts, the guard is loaded and warmed beside; ``/readyz`` says when that is done.

    Parameters
    ----------
    settings : how it runs
    on_failure : called if the guard cannot be loaded at the start

    Raises
    ------
    InputError
        If the file of tokens cannot be used.
    AuditError
        If the audit store cannot be opened.
    """
    audit = None
    if settings.audit is not None:
        images = None if settings.audit_images is None else Path(settings.audit_images)
        audit = AuditStore.open(settings.audit, images=images)
    state = ServiceState(
        settings=settings,
        tokens=TokenBook(settings.token_file),
        sessions=Sessions(settings.secret, settings.runtime, settings.session_hours),
        models=Models(settings),
        audit=audit,
    )

    async def start() -> None:
        try:
            await state.models.change()
        except SimDNNError as error:
            if on_failure is not None:
                on_failure(error)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        loading = asyncio.create_task(start())
        try:
            yield
        finally:
            with suppress(asyncio.CancelledError):
                await loading
            if audit is not None:
                audit.close()

    app = FastAPI(
        title="Sim-DNN",
        version=__version__,
        summary="Tells when an image has been adversarially perturbed, and shows why.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = state
    answer_problems(app)
    app.add_middleware(Protected, max_body=settings.max_body)
    app.include_router(health.router)
    app.include_router(login.router)
    app.include_router(audit_api.router)
    app.include_router(pages.router)  # last: it has the paths for people
    return app
