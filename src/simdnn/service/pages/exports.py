"""Exports of what the filters let through, streamed: as CSV, as JSON lines, and with the images as a zip file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from simdnn.audit.export import as_csv, as_json_lines, as_zip
from simdnn.audit.records import AuditRecord
from simdnn.audit.store import AuditStore
from simdnn.service.access import Auditor
from simdnn.service.pages.filters import Asked
from simdnn.service.state import State

router = APIRouter()

_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl", "zip": "application/zip"}


@router.get("/export.{kind}", response_model=None)
def export(state: State, who: Auditor, filters: Asked, kind: Literal["csv", "jsonl", "zip"]) -> Response:
    """Send the records of the filters, newest first, as they are read."""
    del who
    store = state.store
    return StreamingResponse(
        _content(store, store.stream(**filters.selection), kind),
        media_type=_TYPES[kind],
        headers={"content-disposition": f'attachment; filename="simdnn-audit.{kind}"'},
    )


def _content(store: AuditStore, records: Iterator[AuditRecord], kind: str) -> Iterator[bytes]:
    if kind == "csv":
        return as_csv(records)
    if kind == "jsonl":
        return as_json_lines(records)
    return as_zip(records, store.image)
