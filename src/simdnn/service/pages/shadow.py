"""The guard in use beside its shadow: how often their verdicts differ, and on which images."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from simdnn.service.access import Auditor
from simdnn.service.rendering import twin
from simdnn.service.shadow_api import AskedShadow, comparison
from simdnn.service.state import State

router = APIRouter()


@twin(router, "/shadow", "shadow.html")
def shadow(request: Request, state: State, who: Auditor, asked: AskedShadow) -> dict[str, Any]:
    """Compare the verdicts, and show the images on which they differ, newest first."""
    del request, who
    return {"asked": asked, **comparison(state, asked)}
