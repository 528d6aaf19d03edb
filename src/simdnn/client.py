"""A client of the service: ``with Client("http://guard:8080", token="...") as client: client.check("photo.jpg")``."""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

from simdnn.errors import InputError, ServiceError
from simdnn.guard.verdict import Neighbour, Verdict

try:
    import httpx
except ModuleNotFoundError as error:
    raise InputError("the client needs httpx; pip install 'simdnn[service]'") from error

Image = Path | str | bytes
"""A file, or the bytes of one."""

_FIELDS = [field.name for field in fields(Verdict)]


def _part(image: Image) -> tuple[str, bytes, str]:
    """Return name, bytes and content type of an image."""
    if isinstance(image, bytes):
        return "image", image, "application/octet-stream"
    path = Path(image)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return path.name, data, mimetypes.guess_type(path.name)[0] or "application/octet-stream"


def _verdict(plain: dict[str, Any]) -> Verdict:
    known = {name: plain[name] for name in _FIELDS if name in plain}
    return Verdict(**known | {"evidence": tuple(Neighbour(**one) for one in plain.get("evidence", ()))})


def _content(reply: httpx.Response) -> Any:
    """Return what an answer holds; ServiceError for a refusal, and for what no service of ours answers."""
    if reply.is_success:
        try:
            return reply.json()
        except ValueError as error:
            kind = reply.headers.get("content-type", "no type")
            raise ServiceError(
                f"expected the service's JSON, got {kind}; check the address, and what stands between",
                reply.status_code,
            ) from error
    try:
        detail = str(reply.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"no answer of the service's: {reply.reason_phrase}; check the address"
    wait = reply.headers.get("retry-after", "")
    raise ServiceError(detail, reply.status_code, float(wait) if wait.isdecimal() else None)


def _asked(rule: str | None, alpha: float | None) -> dict[str, str | float]:
    return {key: value for key, value in (("rule", rule), ("alpha", alpha)) if value is not None}


def _headers(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


class Client:
    """A client of the service, used in a ``with`` statement.

    Parameters
    ----------
    address : of the service, as ``http://127.0.0.1:8080``
    token : as ``simdnn token add`` printed it; None where the service asks for none
    timeout : seconds to wait for an answer
    transport : how requests travel, for tests and proxies; httpx's own by default
    """

    def __init__(
        self,
        address: str,
        token: str | None = None,
        *,
        timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(
            base_url=address, headers=_headers(token), timeout=timeout, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def check(self, image: Image, *, rule: str | None = None, alpha: float | None = None) -> Verdict:
        """Have one image judged.

        Parameters
        ----------
        image : a file, or the bytes of one
        rule, alpha : in place of those of the guard

        Raises
        ------
        ServiceError
            If the service refuses it, or cannot be reached; for an image that cannot be read its status is 422.
        InputError
            If the file cannot be read here.
        """
        return _verdict(
            self._ask("POST", "/v1/check", files=[("image", _part(image))], params=_asked(rule, alpha))
        )

    def check_many(
        self,
        images: Sequence[Image],
        *,
        rule: str | None = None,
        alpha: float | None = None,
        at_once: int = 64,
    ) -> Iterator[Verdict]:
        """Have many images judged, one verdict each in their order, ``"error"`` for one that cannot be read.

        Parameters and errors are those of :meth:`check`; ``at_once`` images go in one request.
        """
        for start in range(0, len(images), at_once):
            parts = [("image", _part(image)) for image in images[start : start + at_once]]
            reply = self._ask("POST", "/v1/check/batch", files=parts, params=_asked(rule, alpha))
            yield from map(_verdict, reply["verdicts"])

    def model(self) -> dict[str, Any]:
        """Return which guard is in use."""
        found: dict[str, Any] = self._ask("GET", "/v1/model")
        return found

    def change_model(self, file: str | None = None) -> dict[str, Any]:
        """Have a guard file loaded from the folder of the one in use, or that one anew; for auditors."""
        found: dict[str, Any] = self._ask("POST", "/v1/model", json={"file": file})
        return found

    def records(self, **only: Any) -> Iterator[dict[str, Any]]:
        """Iterate over what was recorded, newest first; conditions as ``GET /v1/audit`` takes them; for auditors."""
        params: dict[str, Any] | None = only
        while params is not None:
            page = self._ask("GET", "/v1/audit", params=params)
            yield from page["records"]
            params = None if page["next"] is None else only | {"cursor": page["next"]}

    def _ask(self, method: str, path: str, **content: Any) -> Any:
        try:
            return _content(self._http.request(method, path, **content))
        except httpx.HTTPError as error:
            raise ServiceError(f"the service cannot be reached: {error}", None) from error


class AsyncClient:
    """The same for asyncio, used in an ``async with`` statement; parameters as for :class:`Client`."""

    def __init__(
        self,
        address: str,
        token: str | None = None,
        *,
        timeout: float = 60.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=address, headers=_headers(token), timeout=timeout, transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *reason: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def check(self, image: Image, *, rule: str | None = None, alpha: float | None = None) -> Verdict:
        """Have one image judged; as :meth:`Client.check`."""
        files = [("image", _part(image))]
        return _verdict(await self._ask("POST", "/v1/check", files=files, params=_asked(rule, alpha)))

    async def check_many(
        self,
        images: Sequence[Image],
        *,
        rule: str | None = None,
        alpha: float | None = None,
        at_once: int = 64,
    ) -> AsyncIterator[Verdict]:
        """Have many images judged; as :meth:`Client.check_many`."""
        for start in range(0, len(images), at_once):
            parts = [("image", _part(image)) for image in images[start : start + at_once]]
            reply = await self._ask("POST", "/v1/check/batch", files=parts, params=_asked(rule, alpha))
            for plain in reply["verdicts"]:
                yield _verdict(plain)

    async def model(self) -> dict[str, Any]:
        """Return which guard is in use."""
        found: dict[str, Any] = await self._ask("GET", "/v1/model")
        return found

    async def change_model(self, file: str | None = None) -> dict[str, Any]:
        """Have a guard loaded; as :meth:`Client.change_model`."""
        found: dict[str, Any] = await self._ask("POST", "/v1/model", json={"file": file})
        return found

    async def records(self, **only: Any) -> AsyncIterator[dict[str, Any]]:
        """Iterate over what was recorded; as :meth:`Client.records`."""
        params: dict[str, Any] | None = only
        while params is not None:
            page = await self._ask("GET", "/v1/audit", params=params)
            for record in page["records"]:
                yield record
            params = None if page["next"] is None else only | {"cursor": page["next"]}

    async def _ask(self, method: str, path: str, **content: Any) -> Any:
        try:
            return _content(await self._http.request(method, path, **content))
        except httpx.HTTPError as error:
            raise ServiceError(f"the service cannot be reached: {error}", None) from error
