"""What all requests of one process share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import structlog
from fastapi import Depends, Request

from simdnn.audit.store import AuditStore
from simdnn.service.metrics import Metrics
from simdnn.service.models import Models
from simdnn.service.pipeline import Pipeline
from simdnn.service.problems import Problem
from simdnn.service.sessions import Sessions
from simdnn.service.settings import Settings
from simdnn.service.shadow import Shadow
from simdnn.service.tokens import TokenBook

_log = structlog.get_logger("simdnn.service")


@dataclass
class ServiceState:
    """What all requests of one process share.

    Attributes
    ----------
    settings : how the service runs
    tokens, sessions : who may ask, and who is logged in
    models : the guard in use, and how it is changed
    metrics : what is counted
    audit : the audit store; None without one
    pipeline : what images pass; while the application runs
    shadow : a second guard that judges, too; None without one, and until it is loaded
    """

    settings: Settings
    tokens: TokenBook
    sessions: Sessions
    models: Models
    metrics: Metrics
    audit: AuditStore | None
    pipeline: Pipeline = field(init=False)
    shadow: Shadow | None = None

    @property
    def store(self) -> AuditStore:
        """The audit store; a 404 problem if the service has none."""
        if self.audit is None:
            raise Problem(404, "this service keeps no audit store; start it with --audit")
        return self.audit

    def note(self, who: str, what: str, target: str, before: str | None, after: str | None) -> None:
        """Note what was done or noticed, in the log and among the store's actions.

        Raises
        ------
        AuditError
            If the store cannot be written.
        """
        _log.warning(what, who=who, target=target, before=before, after=after)
        if self.audit is not None:
            self.audit.act(who, what, target, before, after)


def _state(request: Request) -> ServiceState:
    state: ServiceState = request.app.state.service
    return state


State = Annotated[ServiceState, Depends(_state)]
"""Parameter of a path that needs the state."""
