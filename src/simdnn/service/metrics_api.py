"""The metrics, for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from simdnn.service.access import Checker
from simdnn.service.problems import documented
from simdnn.service.state import State

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **documented(401, 403)},
)
def metrics(state: State, who: Checker) -> Response:
    """Return what the service counts, in Prometheus's text format; with any token of the service's."""
    del who
    return Response(state.metrics.text(), media_type=CONTENT_TYPE_LATEST)
