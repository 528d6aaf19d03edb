"""The auditor's pages."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(include_in_schema=False)
"""All pages; :func:`simdnn.service.app.create_app` includes it last."""
