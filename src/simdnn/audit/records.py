"""The records of an audit store, their human labels, and the actions of people."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, get_args

from simdnn.guard.verdict import Kind, Neighbour

VERDICTS: tuple[str, ...] = get_args(Kind)
"""Possible verdicts of a guard."""

HUMAN_LABELS = ("attack", "clean", "unsure")
"""Possible human labels of a record; ``"clean"`` for a flagged image means a false alarm."""


@dataclass(frozen=True)
class Origin:
    """Who had an image checked, over a service.

    Attributes
    ----------
    token : name of the token that was shown
    request_id : id of the request, as in the service's log
    """

    token: str | None = None
    request_id: str | None = None


@dataclass(frozen=True)
class HumanLabel:
    """A label that a person gave a record, or took back; later labels do not replace it.

    Attributes
    ----------
    human_label : one of :data:`HUMAN_LABELS`; None where none stands, but perhaps a note
    human_class : the class that the person sees in the image, or None
    labelled_by, labelled_at, note : name of the person, time in UTC, and remark
    action_id : number of the action that it belongs to; None in stores of older versions
    """

    human_label: str | None
    human_class: str | None
    labelled_by: str | None
    labelled_at: datetime
    note: str | None
    action_id: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the label as plain values for JSON; the time in ISO 8601."""
        return vars(self) | {"labelled_at": self.labelled_at.isoformat()}


@dataclass(frozen=True)
class Action:
    """What a person did: labelled, edited prototypes, changed the guard.

    Attributes
    ----------
    id : number in the store, from 1
    time : in UTC
    who : name of the person, None where it is not known
    what : what was done, such as ``"label"``, ``"bulk label"`` or ``"undo"``
    target : with what, such as ``"record 12"``
    before, after : how it was and how it is now, as values for JSON; None for nothing
    """

    id: int
    time: datetime
    who: str | None
    what: str
    target: str
    before: Any
    after: Any

    def as_dict(self) -> dict[str, Any]:
        """Return the action as plain values for JSON; the time in ISO 8601."""
        return vars(self) | {"time": self.time.isoformat()}


@dataclass(frozen=True)
class AuditRecord:
    """One verdict in the store.

    Attributes
    ----------
    id : number in the store, from 1
    time : time of recording, in UTC
    model_id : id of the guard
    path ... error : as in :class:`simdnn.guard.verdict.Verdict`
    image_sha256 : SHA-256 of the checked image's bytes
    opinion_class ... certified_radius : as in the verdict
    image_kept : whether the bytes are kept as well; None in records of older versions
    image_bytes : their number; None where it is not known
    token, request_id : as in :class:`Origin`; None for an image that was not checked by a service
    human_label ... note : the latest of the record's labels, as in :class:`HumanLabel`; None without one
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
    opinion_class: str | None
    opinion: float | None
    certified_radius: float | None
    image_kept: bool | None
    image_bytes: int | None
    token: str | None
    request_id: str | None
    human_label: str | None
    human_class: str | None
    labelled_by: str | None
    labelled_at: datetime | None
    note: str | None

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain values for JSON; times in ISO 8601."""
        return vars(self) | {
            "time": self.time.isoformat(),
            "evidence": [vars(neighbour).copy() for neighbour in self.evidence],
            "labelled_at": None if self.labelled_at is None else self.labelled_at.isoformat(),
        }


FIELDS = tuple(field.name for field in fields(AuditRecord))
"""Names of a record's fields, in their order in exports."""


@dataclass(frozen=True)
class Page:
    """Some records of a selection, newest first.

    Attributes
    ----------
    records : the records
    next : cursor of the page after; None on the last
    """

    records: tuple[AuditRecord, ...]
    next: str | None
