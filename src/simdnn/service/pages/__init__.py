"""The auditor's pages."""

from __future__ import annotations

from fastapi import APIRouter

from simdnn.service.pages import actions, exports, prototypes, queue, rates, record, shadow

router = APIRouter(include_in_schema=False)
"""All pages; :func:`simdnn.service.app.create_app` includes it last."""

for _part in (queue, record, prototypes, rates, shadow, actions, exports):
    router.include_router(_part.router)
