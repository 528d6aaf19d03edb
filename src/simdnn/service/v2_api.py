"""The Open Inference Protocol, version 2, which model servers and their clients speak."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from simdnn import __version__
from simdnn.service.access import Checker
from simdnn.service.check_api import limited, question
from simdnn.service.health import Health, Ready, healthz, readyz
from simdnn.service.jobs import Answer
from simdnn.service.problems import Problem, documented
from simdnn.service.replies import json_reply
from simdnn.service.state import ServiceState, State
from simdnn.service.v2_tensors import InputTensor, uploads_of

router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])

Name = Annotated[str, Path(description="Name of the guard's file, without .simdnn.", max_length=255)]


class Parameters(BaseModel):
    """How the images are to be judged, in place of the guard's own way."""

    rule: str | None = Field(default=None, max_length=64)
    alpha: float | None = Field(default=None, gt=0, lt=1)


class WantedOutput(BaseModel):
    """An output that is asked for."""

    name: Literal["verdict", "label", "classifier_label", "score", "p_value", "record"]


class InferBody(BaseModel):
    """Images to judge: one input, as files or as pixels."""

    id: str | None = Field(default=None, max_length=256)
    inputs: list[InputTensor] = Field(min_length=1, max_length=1)
    outputs: list[WantedOutput] | None = None
    parameters: Parameters | None = None


class TensorMetadata(BaseModel):
    """An input or an output; -1 stands for the number of images."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """The guard, as a model server describes a model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(BaseModel):
    """The service."""

    name: str
    version: str
    extensions: list[str]


class OutputTensor(TensorMetadata):
    """One value for each image."""

    data: list[str | float | int | None]


class InferReply(BaseModel):
    """The verdicts; ``id`` is that of the request."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


_OUTPUTS = {
    "verdict": "BYTES",
    "label": "BYTES",
    "classifier_label": "BYTES",
    "score": "FP64",
    "p_value": "FP64",
    "record": "INT64",
}


@router.get("")
def server() -> ServerMetadata:
    """Describe the service."""
    return ServerMetadata(name="simdnn", version=__version__, extensions=[])


@router.get("/health/live")
def live() -> Health:
    """Say that the process answers."""
    return healthz()


@router.get("/health/ready", responses=documented(503))
def ready(state: State) -> Ready:
    """Say whether the guard is loaded and warm."""
    return readyz(state)


@router.get("/models/{name}", responses=documented(401, 403, 404, 422, 503))
def metadata(state: State, who: Checker, name: Name) -> ModelMetadata:
    """Describe the guard: what goes in, and what comes out."""
    del who
    _check_name(state, name)
    model = state.pipeline.model()
    height, width = model.guard.networks[0].spec.preprocess.size
    pixels = [-1, 3, height, width]
    return ModelMetadata(
        name=name,
        versions=[model.id],
        platform="simdnn",
        inputs=[
            TensorMetadata(name="image", datatype="BYTES", shape=[-1]),
            TensorMetadata(name="pixels", datatype="FP32", shape=pixels),
            TensorMetadata(name="pixels", datatype="UINT8", shape=pixels),
        ],
        outputs=[TensorMetadata(name=key, datatype=kind, shape=[-1]) for key, kind in _OUTPUTS.items()],
    )


@router.get("/models/{name}/ready", responses=documented(401, 403, 404, 422, 503))
def model_ready(state: State, who: Checker, name: Name) -> Ready:
    """Say whether the guard of that name is loaded and warm."""
    del who
    _check_name(state, name)
    return readyz(state)


@router.post(
    "/models/{name}/infer",
    responses=documented(400, 401, 403, 404, 413, 415, 422, 429, 500, 503),
    response_model=InferReply,
)
async def infer(request: Request, state: State, who: Checker, name: Name, body: InferBody) -> Response:
    """Judge images. One that cannot be read fails the request, as the protocol has it."""
    _check_name(state, name)
    most = min(state.settings.max_parts, state.settings.queue)
    uploads = uploads_of(body.inputs[0], most)
    asked = body.parameters or Parameters()
    with state.pipeline.room.holding(len(uploads)):
        async with limited(state, "judge the images", 503):
            answers = await state.pipeline.check(uploads, question(request, who, asked.rule, asked.alpha))
    judged: list[Answer] = []
    for i, answer in enumerate(answers):
        if isinstance(answer, Problem):
            raise Problem(answer.status_code, f"image {i}: {answer.detail}", dict(answer.headers or {}))
        judged.append(answer)
    wanted = list(_OUTPUTS) if body.outputs is None else [output.name for output in body.outputs]
    reply: dict[str, Any] = {"model_name": name, "model_version": judged[0].model_id}
    if body.id is not None:
        reply["id"] = body.id
    return json_reply(reply | {"outputs": [_output(key, judged) for key in wanted]})


def _output(key: str, judged: list[Answer]) -> dict[str, Any]:
    data = [answer.record if key == "record" else getattr(answer.verdict, key) for answer in judged]
    return {"name": key, "datatype": _OUTPUTS[key], "shape": [len(data)], "data": data}


def _check_name(state: ServiceState, name: str) -> None:
    served = state.settings.guard.stem
    if name != served:
        raise Problem(404, f"expected the guard's name, {served}, got another")
