"""The guard in use: what it is, and its change."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from simdnn.errors import AuditError, SimDNNError
from simdnn.guard.facts import guard_facts, prototype_facts
from simdnn.service.access import Auditor, Checker
from simdnn.service.models import Model
from simdnn.service.problems import Problem, documented
from simdnn.service.replies import json_reply
from simdnn.service.state import State

router = APIRouter(prefix="/v1", tags=["guard"])


class ModelBody(BaseModel):
    """The guard in use; ``facts``, as ``simdnn info --json`` prints them, are for auditors alone."""

    model_id: str
    rule: str
    alpha: float
    classes: list[str]
    size: list[int] = Field(
        min_length=2, max_length=2, description="Height and width of the images that the network takes."
    )
    facts: dict[str, Any] | None


class PrototypeBody(BaseModel):
    """A prototype: its class, how many images it stands for, and the image that people look at in its stead."""

    id: str
    label: str
    support: int
    sigma: float
    exemplar: str


class PrototypesBody(BaseModel):
    """The prototypes of the guard in use."""

    model_id: str
    prototypes: list[PrototypeBody]


class Change(BaseModel, extra="forbid"):
    """Which guard is to be loaded."""

    file: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="Name of a guard file in the folder of the one that is served; default that one, written anew.",
    )


@router.get("/model", responses=documented(401, 403, 503), response_model=ModelBody)
def model(state: State, who: Checker) -> Response:
    """Say which guard is in use."""
    return json_reply(_plain(state.pipeline.model(), facts=who.role == "auditor"))


@router.post("/model", responses=documented(400, 401, 403, 409, 413, 422, 503), response_model=ModelBody)
async def change(state: State, who: Auditor, wanted: Change) -> Response:
    """Load a guard beside the one in use, warm it, and put it in its place between two batches.

    A file that cannot be used leaves the guard in use where it is: 409, with the reason. So does an audit store that
    cannot be written: 503.
    """
    file = None if wanted.file is None else state.models.beside(wanted.file)

    def record(made: Model) -> None:
        before = state.models.current
        was = None if before is None else before.id
        state.note(who.name, "guard changed", made.file.name, was, made.id)

    try:
        made = await state.models.change(file, record)
    except AuditError:
        raise
    except SimDNNError as error:
        raise Problem(409, f"the guard in use stays: {error}") from error
    return json_reply(_plain(made, facts=True))


@router.get("/prototypes", responses=documented(401, 403, 422, 503), response_model=PrototypesBody)
def prototypes(
    state: State, who: Auditor, label: Annotated[str | None, Query(description="Only this class.")] = None
) -> Response:
    """List the prototypes of the guard in use."""
    del who
    found = state.pipeline.model()
    listed = [
        prototype_facts(found.guard, prototype)
        for prototype in found.guard.model.prototypes
        if label in (None, prototype.label)
    ]
    return json_reply({"model_id": found.id, "prototypes": listed})


def _plain(model: Model, *, facts: bool) -> dict[str, Any]:
    guard = model.guard
    return {
        "model_id": model.id,
        "rule": guard.settings.rule,
        "alpha": guard.settings.alpha,
        "classes": list(guard.classes),
        "size": list(guard.networks[0].spec.preprocess.size),
        "facts": guard_facts(guard) if facts else None,
    }
