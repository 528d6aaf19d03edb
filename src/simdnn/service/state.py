"""What all requests of one process share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from simdnn.audit.store import AuditStore
from simdnn.service.models import Models
from simdnn.service.problems import Problem
from simdnn.service.sessions import Sessions
from simdnn.service.settings import Settings
from simdnn.service.tokens import TokenBook


@dataclass
class ServiceState:
    """What all requests of one process share.

    Attributes
    ----------
    settings : how the service runs
    tokens, sessions : who may ask, and who is logged in
    models : the guard in use, and how it is changed
    audit : the audit store; None without one
    """

    settings: Settings
    tokens: TokenBook
    sessions: Sessions
    models: Models
    audit: AuditStore | None

    @property
    def store(self) -> AuditStore:
        """The audit store; a 404 problem if the service has none."""
        if self.audit is None:
            raise Problem(404, "this service keeps no audit store; start it with --audit")
        return self.audit


def _state(request: Request) -> ServiceState:
    state: ServiceState = request.app.state.service
    return state


State = Annotated[ServiceState, Depends(_state)]
"""Parameter of a path that needs the state."""
