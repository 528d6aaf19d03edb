"""Rates over time: how many images were flagged, beside the promised false-alarm rate, and the drift monitor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request

from simdnn.audit.summary import Summary
from simdnn.service.access import Auditor
from simdnn.service.models import Model
from simdnn.service.rendering import twin
from simdnn.service.state import ServiceState, State

router = APIRouter()

SPANS = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "quarter": timedelta(days=91),
}
INTERVALS = 30
DRIFT_RECORDS = 2000
"""Latest records whose scores the drift monitor's course is drawn from."""


@twin(router, "/rates", "rates.html")
def rates(
    request: Request,
    state: State,
    who: Auditor,
    span: Annotated[Literal["hour", "day", "week", "quarter"], Query()] = "day",
) -> dict[str, Any]:
    """Show the flagged images of the latest hour, day, week or quarter, and the state of the drift monitor."""
    del request, who
    model = state.pipeline.model()
    now = datetime.now(UTC)
    edges = [now - SPANS[span] * (INTERVALS - i) / INTERVALS for i in range(INTERVALS + 1)]
    everything = state.settings.record_all
    intervals = []
    for begin, end, counts in zip(edges, edges[1:], Summary(state.store).counts(edges), strict=False):
        flagged, judged = counts.get("attack", 0), counts.get("attack", 0) + counts.get("clean", 0)
        share = flagged / judged if everything and judged else None
        intervals.append({"begin": begin, "end": end, "flagged": flagged, "judged": judged, "share": share})
    drift = model.drift.state
    return {
        "span": span,
        "spans": list(SPANS),
        "intervals": intervals,
        "everything": everything,
        "alpha": model.guard.settings.alpha,
        "promised": model.guard.settings.rule != "published",
        "drift": {
            "images": drift.n,
            "log10_capital": drift.log10_capital,
            "alarm": drift.alarm,
            "alarm_at": 2.0,
            "course": _course(state, model) if everything else [],
        },
    }


def _course(state: ServiceState, model: Model) -> list[float]:
    """Return the drift monitor's evidence after each of the latest recorded images, oldest first."""
    scores = [
        record.score
        for record in state.store.stream(model_id=model.id, limit=DRIFT_RECORDS)
        if record.score is not None and record.rule == model.guard.settings.rule
    ]
    monitor = model.guard.drift_monitor()
    return [after.log10_capital for after in monitor.watch(reversed(scores))]
