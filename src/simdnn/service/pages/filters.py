"""Which records a page is about, as its address says."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlencode

from fastapi import Depends, Request
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from simdnn.audit.query import Selection
from simdnn.errors import InputError

_LARGEST = 2**31 - 1


def _day_or_time(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    return date.fromisoformat(text) if len(text) <= len("2026-01-31") else datetime.fromisoformat(text)


Moment = Annotated[datetime | date, BeforeValidator(_day_or_time)]


class Filters(BaseModel, frozen=True):
    """The filters of an address, by default the flagged images.

    Attributes
    ----------
    verdict, label : ``any`` for all; the label ``none`` for images on which no label stands
    since, until : days in UTC, both included, or times, the second one excluded
    class_name : ``class`` in addresses; the classifier's or Sim-DNN's
    p_min, p_max, token, up_to : see :class:`simdnn.audit.query.Selection`
    model : ``model_id`` of the guard
    cursor : where the page before ended
    """

    verdict: Literal["attack", "clean", "error", "any"] = "attack"
    label: Literal["any", "none", "attack", "clean", "unsure"] = "any"
    since: Moment | None = None
    until: Moment | None = None
    class_name: str | None = Field(None, alias="class", max_length=500)
    p_min: float | None = Field(None, ge=0, le=1)
    p_max: float | None = Field(None, ge=0, le=1)
    model: str | None = Field(None, max_length=64)
    token: str | None = Field(None, max_length=500)
    up_to: int | None = Field(None, ge=1, le=_LARGEST)
    cursor: str | None = Field(None, max_length=40)

    @classmethod
    def of(cls, request: Request) -> Self:
        """Read the filters of a request's address; InputError for a value that cannot be."""
        names = {field.alias or name for name, field in cls.model_fields.items()}
        asked = {name: value for name, value in request.query_params.items() if name in names and value}
        try:
            return cls.model_validate(asked)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"][:1])
            raise InputError(
                f"the filter {where} cannot be {str(first['input'])[:60]!r}: {first['msg']}"
            ) from error

    @property
    def selection(self) -> Selection:
        """The records that meet all filters."""
        return {
            "verdict": None if self.verdict == "any" else self.verdict,
            "label": None if self.label in ("any", "none") else self.label,
            "unlabelled": self.label == "none",
            "since": _begin(self.since),
            "until": _end(self.until),
            "class_name": self.class_name,
            "p_min": self.p_min,
            "p_max": self.p_max,
            "model_id": self.model,
            "token": self.token,
            "up_to": self.up_to,
        }

    def query(self, **changes: Any) -> str:
        """Return the filters as the query of an address, with changes; what is as by default is left out."""
        plain = self.model_dump(mode="json", by_alias=True, exclude_defaults=True) | changes
        return urlencode({name: value for name, value in plain.items() if value is not None})

    @property
    def given(self) -> dict[str, Any]:
        """The filters that are not as by default, by their names in addresses, without the place in the pages."""
        plain = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return {name: value for name, value in plain.items() if name not in ("cursor", "up_to")}


def _begin(day: datetime | date | None) -> datetime | None:
    if day is None:
        return None
    moment = day if isinstance(day, datetime) else datetime.combine(day, time())
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _end(day: datetime | date | None) -> datetime | None:
    if day is None or isinstance(day, datetime):
        return _begin(day)
    try:
        return _begin(day + timedelta(days=1))
    except OverflowError:
        return None


Asked = Annotated[Filters, Depends(Filters.of)]
"""Parameter of a page that shows the records of its address."""
