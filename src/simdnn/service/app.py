"""The application: all paths, and what they share."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from simdnn import __version__
from simdnn.audit.shadow import ShadowLog
from simdnn.audit.store import AuditStore
from simdnn.errors import InputError, SimDNNError
from simdnn.guard.verdict import Verdict
from simdnn.service import (
    audit_api,
    check_api,
    health,
    login,
    metrics_api,
    model_api,
    pages,
    shadow_api,
    v2_api,
)
from simdnn.service.jobs import Job
from simdnn.service.metrics import Metrics
from simdnn.service.middleware import Protected
from simdnn.service.models import Model, Models
from simdnn.service.pipeline import Pipeline
from simdnn.service.problems import ProblemBody, answer_problems
from simdnn.service.rendering import STATIC
from simdnn.service.sessions import Sessions
from simdnn.service.settings import Settings
from simdnn.service.shadow import Shadow
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
        If the file of tokens cannot be used, or there is a shadow and no store to record its verdicts in.
    AuditError
        If the audit store cannot be opened.
    """
    if settings.shadow is not None and settings.audit is None:
        raise InputError("--shadow needs --audit, the store that its verdicts go to")
    audit = None
    if settings.audit is not None:
        audit = AuditStore.open(settings.audit, images=settings.audit_images)
    metrics = Metrics()
    state = ServiceState(
        settings=settings,
        tokens=TokenBook(settings.token_file),
        sessions=Sessions(settings.secret, settings.runtime, settings.session_hours, settings.start),
        models=Models(settings, lambda model: metrics.use(model.id)),
        metrics=metrics,
        audit=audit,
    )
    app = FastAPI(
        title="Sim-DNN",
        version=__version__,
        summary="Tells when an image has been adversarially perturbed, and shows why.",
        docs_url=None,
        redoc_url=None,
        lifespan=lambda _: _running(state, on_failure),
    )
    app.state.service = state
    answer_problems(app)
    app.add_middleware(Protected, max_body=settings.max_body)
    for paths in (health, check_api, v2_api, model_api, shadow_api, audit_api, metrics_api, login, pages):
        app.include_router(paths.router)  # the pages last: they have the paths for people
    app.mount("/static", StaticFiles(directory=STATIC))
    _document_problems(app)
    return app


@asynccontextmanager
async def _running(
    state: ServiceState, on_failure: Callable[[SimDNNError], None] | None
) -> AsyncIterator[None]:
    """Start what works beside the requests, and finish it after the last."""

    def also(judged: list[tuple[Job, Verdict]]) -> None:
        if state.shadow is not None:
            state.shadow.take(judged)

    def alarm(job: Job, similar: int) -> None:
        told = f"{similar} nearly equal images within {state.settings.near_window:g} s"
        state.note("service", "near-duplicate queries", job.question.token, None, told)

    state.pipeline = Pipeline(state.settings, state.models, state.audit, state.metrics, alarm, also)
    loading = asyncio.create_task(_load(state, on_failure))
    if threading.current_thread() is threading.main_thread():
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, state)
    if state.settings.workers > 1:
        await loading  # it listens only then: until it is ready, the others get all connections
    try:
        yield
    finally:
        await loading
        await asyncio.to_thread(_finish, state)


async def _load(state: ServiceState, on_failure: Callable[[SimDNNError], None] | None) -> None:
    settings = state.settings
    try:
        await asyncio.to_thread(state.models.load)
        if settings.shadow is not None and state.audit is not None:
            other = await asyncio.to_thread(Model.load, settings.shadow, replace(settings, weights=()))
            state.shadow = Shadow(other, ShadowLog(state.audit), settings.queue, settings.max_batch)
    except SimDNNError as error:
        if on_failure is not None:
            on_failure(error)


def _reload(state: ServiceState) -> None:
    """Load the guard's file anew, as SIGHUP asks; a broken one leaves the guard in use, and the log says why."""

    def load() -> None:
        with suppress(SimDNNError):
            state.models.load()

    threading.Thread(target=load, name="simdnn-reload", daemon=True).start()


def _finish(state: ServiceState) -> None:
    state.pipeline.close()
    if state.shadow is not None:
        state.shadow.close()
    if state.audit is not None:
        state.audit.close()


def _document_problems(app: FastAPI) -> None:
    """Enter the schema of problems, to which the paths' documentation refers."""
    make = app.openapi

    def openapi() -> dict[str, object]:
        described = make()
        components = described.setdefault("components", {}).setdefault("schemas", {})
        components["ProblemBody"] = ProblemBody.model_json_schema()
        return described

    app.openapi = openapi  # type: ignore[method-assign]
