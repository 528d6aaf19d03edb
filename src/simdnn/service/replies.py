"""Answers as JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response


def json_reply(
    value: Any,
    status: int = 200,
    headers: dict[str, str] | None = None,
    *,
    media_type: str = "application/json",
) -> Response:
    """Return plain values as JSON; what is no finite number becomes null, for JSON has none."""
    return Response(msgspec.json.encode(value), status, headers, media_type)
