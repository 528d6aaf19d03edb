"""What a store gives back: records, and what people said of them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, get_args

from simdnn.guard.verdict import Kind, Neighbour

VERDICTS: tuple[str, ...] = get_args(Kind)
"""What a guard says."""

HUMAN_LABELS = ("attack", "clean")
"""What a human may say of a record; ``"clean"`` is a false alarm."""


@dataclass(frozen=True)
class HumanLabel:
    """What one person said of a record, once; a later label does not replace it.

    Attributes
    ----------
    human_label : ``"attack"`` or ``"clean"``
    human_class : the class that the human saw
    labelled_by, labelled_at, note : who, when in UTC, and any remark
    """

    human_label: str
    human_class: str | None
    labelled_by: str | None
    labelled_at: datetime
    note: str | None

    def as_dict(self) -> dict[str, Any]:
        """Return the label as plain values, ready for JSON; its time in ISO 8601."""
        return vars(self) | {"labelled_at": self.labelled_at.isoformat()}


@dataclass(frozen=True)
class AuditRecord:
    """One verdict as it was kept.

    Attributes
    ----------
    id : number in the store
    time : when it was kept, in UTC
    model_id : the guard that said it
    path ... error : as in :class:`simdnn.guard.verdict.Verdict`
    image_sha256 : hash of the image's bytes that were judged
    image_kept : whether the bytes themselves were kept; None where an older version did not say
    human_label ... note : the latest of the record's labels, as in :class:`HumanLabel`; None if it has none
    """

    id: int
    time: datetime
    model_id: str
    path: str
    verdict: str
    label: str | None
    classifier_label: str | None
    score: float | None
    p_value: float | None
    p_value_clean: float | None
    p_value_mixture: float | None
    threshold: float | None
    prototype: str | None
    rule: str | None
    evidence: tuple[Neighbour, ...]
    error: str | None
    image_sha256: str | None
    image_kept: bool | None
    human_label: str | None
    human_class: str | None
    labelled_by: str | None
    labelled_at: datetime | None
    note: str | None

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain values, ready for JSON; times in ISO 8601."""
        return vars(self) | {
            "time": self.time.isoformat(),
            "evidence": [vars(neighbour).copy() for neighbour in self.evidence],
            "labelled_at": None if self.labelled_at is None else self.labelled_at.isoformat(),
        }


FIELDS = tuple(field.name for field in fields(AuditRecord))
"""Names of a record's fields, in the order of exports."""
