"""Options that say which records are meant, the same for every command."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from simdnn.errors import InputError

if TYPE_CHECKING:
    from simdnn.audit.query import Selection

_TIME = "as 2026-11-23, 2026-11-23T10:00 or 2026-11-23T10:00+02:00; without an offset it is UTC."

Verdict = Annotated[str | None, typer.Option(help="Only those with this verdict.")]
HumanLabelled = Annotated[str | None, typer.Option(help="Only those labelled so: attack, clean or unsure.")]
Unlabelled = Annotated[bool, typer.Option("--unlabelled", help="Only those nobody labelled.")]
Since = Annotated[str | None, typer.Option(metavar="TIME", help=f"Only those from this time on, {_TIME}")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help=f"Only those before this time, {_TIME}")]
OfClass = Annotated[
    str | None, typer.Option("--class", help="Only those that classifier or guard give this class.")
]
PMin = Annotated[float | None, typer.Option(help="Only those with at least this p-value.")]
PMax = Annotated[float | None, typer.Option(help="Only those with at most this p-value.")]
ModelId = Annotated[str | None, typer.Option("--model", help="Only those of the guard with this id.")]
Token = Annotated[str | None, typer.Option(help="Only those checked with the token of this name.")]


def selected(
    verdict: str | None,
    label: str | None,
    unlabelled: bool,
    since: str | None,
    until: str | None,
    class_name: str | None,
    p_min: float | None,
    p_max: float | None,
    model_id: str | None,
    token: str | None,
) -> Selection:
    """Return the selection that the options say; InputError for what is no time."""
    return {
        "verdict": verdict,
        "label": label,
        "unlabelled": unlabelled,
        "since": None if since is None else _instant("--since", since),
        "until": None if until is None else _instant("--until", until),
        "class_name": class_name,
        "p_min": p_min,
        "p_max": p_max,
        "model_id": model_id,
        "token": token,
    }


def _instant(option: str, text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{option} takes a time such as 2026-11-23 or 2026-11-23T10:00+02:00; got {text!r}"
        ) from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time
