"""Pages for people: templates, and the one rule by which each page has a twin for programs."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import BaseModel
from starlette.responses import HTMLResponse, Response

from simdnn import __version__
from simdnn.service.replies import json_reply

STATIC = Path(__file__).parent / "static"
"""Files that the pages load: style, script, and htmx."""

_PLACES = (
    ("/queue", "Queue"),
    ("/prototypes", "Prototypes"),
    ("/rates", "Rates"),
    ("/shadow", "Shadow"),
    ("/actions", "Actions"),
)
"""The navigation; the shadow's page is there if the service has a shadow."""

_DASH = "\N{EN DASH}"

Page = Callable[..., dict[str, Any]]


def render(name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page made of a template."""
    return HTMLResponse(_templates.get_template(name).render(**values), status)


def twin(router: APIRouter, path: str, template: str) -> Callable[[Page], Page]:
    """Serve what a function returns as a page under a path, and as JSON under the path with ``.json`` behind it.

    The function takes ``request``, ``state`` and ``who`` among its parameters, and returns plain values.
    """

    def register(function: Page) -> Page:
        def page(**given: Any) -> HTMLResponse:
            around = frame(given["request"], given["state"], given["who"])
            return render(template, **around, **function(**given))

        def plain(**given: Any) -> Response:
            return json_reply({name: _plain(value) for name, value in function(**given).items()})

        for suffix, answer in (("", page), (".json", plain)):
            setattr(answer, "__signature__", inspect.signature(function, eval_str=True))  # noqa: B010
            router.add_api_route(path + suffix, answer, methods=["GET"], response_model=None)
        return function

    return register


def frame(request: Request, state: Any, who: Any) -> dict[str, Any]:
    """Return what is around every page: who looks at it, and the token that its forms carry."""
    session = who.session
    return {
        "who": who.name,
        "csrf": "" if session is None else state.sessions.form_token(session),
        "here": request.url.path,
        "query": request.url.query,
        "places": [place for place in _PLACES if place[0] != "/shadow" or state.settings.shadow is not None],
        "done": _done(request, state),
    }


def wants_page(request: Request) -> bool:
    """Say whether a person's browser asks, rather than a program."""
    if request.url.path.startswith(("/v1/", "/v2/")) or request.url.path.endswith(".json"):
        return False
    return "text/html" in request.headers.get("accept", "") or request.headers.get("hx-request") == "true"


def _done(request: Request, state: Any) -> Any:
    """Return the action that a page was sent here by, so that it can be said and undone."""
    number = request.query_params.get("done", "")
    if not number.isdecimal() or len(number) > 9 or state.audit is None:
        return None
    return next(iter(state.audit.actions(before=int(number) + 1, limit=1)), None)


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json", by_alias=True) if isinstance(value, BaseModel) else value


def _number(value: float | None, digits: int = 3) -> str:
    return _DASH if value is None else f"{value:.{digits}g}"


def _value(value: Any) -> str:
    return _DASH if value is None else json.dumps(value, ensure_ascii=False)


def _when(value: datetime | None) -> str:
    return _DASH if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


_templates = Environment(
    loader=PackageLoader("simdnn.service", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters |= {"number": _number, "when": _when, "value": _value}
_templates.globals |= {"version": __version__}
