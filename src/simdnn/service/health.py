"""Whether the service lives, and whether it is ready."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from simdnn.service.problems import Problem, documented
from simdnn.service.state import ServiceState, State

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The service lives, or is ready."""

    status: str


class Ready(Health):
    """The service is ready, with the guard of this id."""

    model_id: str


@router.get("/healthz")
def healthz() -> Health:
    """Say that the process answers."""
    return Health(status="alive")


@router.get("/readyz", responses=documented(503))
def readyz(state: State) -> Ready:
    """Say whether the guard is loaded and warm."""
    return Ready(status="ready", model_id=ready_model_id(state))


def ready_model_id(state: ServiceState) -> str:
    """Return the id of the guard in use; a 503 problem if there is none yet."""
    model = state.models.current
    if model is None:
        failure = state.models.failure
        raise Problem(
            503,
            "the guard is still being loaded"
            if failure is None
            else f"the guard cannot be loaded: {failure}",
            {"Retry-After": "2"},
        )
    return model.id
