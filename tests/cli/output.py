"""What a command prints for programs."""

from __future__ import annotations

import json
from typing import Any


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]
