"""The Python client against the service itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.service.conftest import Service

from simdnn.client import AsyncClient, Client
from simdnn.errors import InputError, ServiceError
from simdnn.guard.verdict import Verdict


class _Into(httpx.BaseTransport):
    """Hands requests to the test client of a service."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        reply = self.service.client.request(
            request.method, str(request.url), content=request.read(), headers=list(request.headers.items())
        )
        return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)


def token(headers: dict[str, str]) -> str:
    return headers["Authorization"].removeprefix("Bearer ")


def test_verdicts_arrive_as_the_guard_gave_them(service: Service, digits: Path, tmp_path: Path) -> None:
    images: list[Any] = sorted((digits / "test" / "3").glob("*.png"))[:5]
    broken = tmp_path / "broken.png"
    broken.write_bytes(images[0].read_bytes()[:99])
    with Client("http://testserver", token(service.checker), transport=_Into(service)) as client:
        verdict = client.check(images[0])
        assert isinstance(verdict, Verdict)
        assert verdict.path == images[0].name
        assert verdict.evidence[0].prototype == verdict.prototype
        assert client.check(images[0].read_bytes(), rule="published").rule == "published"
        many = list(client.check_many([*images, broken], at_once=2))
        assert [one.verdict for one in many][-1] == "error"
        assert [one.path for one in many] == [image.name for image in [*images, broken]]
        assert client.model()["classes"] == [str(i) for i in range(10)]
        with pytest.raises(ServiceError, match="truncated") as refused:
            client.check(broken)
        assert refused.value.status == 422
        with pytest.raises(ServiceError, match="auditor's token"):
            list(client.records())
        with pytest.raises(InputError, match="cannot be read"):
            client.check(tmp_path / "nowhere.png")


def test_an_auditor_reads_all_pages_and_changes_the_guard(service: Service, odd_picture: bytes) -> None:
    with Client("http://testserver", token(service.auditor), transport=_Into(service)) as client:
        for _ in range(5):
            client.check(odd_picture)
        assert [record["id"] for record in client.records(limit=2)] == [5, 4, 3, 2, 1]
        before = client.model()["model_id"]
        assert client.change_model()["model_id"] == before


def test_asyncio(service: Service, picture: bytes) -> None:
    async def ask() -> list[str]:
        transport = httpx.ASGITransport(service.app)
        async with AsyncClient("http://testserver", token(service.checker), transport=transport) as client:
            alone = await client.check(picture)
            together = [one.verdict async for one in client.check_many([picture, b"no"])]
            assert (await client.model())["model_id"]
            return [alone.verdict, *together]

    assert asyncio.run(ask()) == ["clean", "clean", "error"]


def test_asyncio_for_auditors(service: Service, odd_picture: bytes) -> None:
    async def ask() -> tuple[list[int], str, str]:
        transport = httpx.ASGITransport(service.app)
        async with AsyncClient("http://testserver", token(service.auditor), transport=transport) as client:
            for _ in range(3):
                await client.check(odd_picture)
            numbers = [record["id"] async for record in client.records(limit=2)]
            before = (await client.model())["model_id"]
            return numbers, before, (await client.change_model())["model_id"]

    numbers, before, after = asyncio.run(ask())
    assert numbers == [3, 2, 1]
    assert after == before


def test_what_is_no_json_is_said_to_be_of_another_service() -> None:
    page = httpx.MockTransport(lambda _: httpx.Response(200, html="<p>Welcome"))
    with (
        Client("http://elsewhere", transport=page) as client,
        pytest.raises(
            ServiceError, match=r"^expected the service's JSON, got text/html.*check the address"
        ) as no,
    ):
        client.model()
    assert no.value.status == 200

    async def ask() -> None:
        async with AsyncClient("http://elsewhere", transport=page) as client:
            await client.model()

    with pytest.raises(ServiceError, match="expected the service's JSON"):
        asyncio.run(ask())


def test_no_service_is_said_to_be_none() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(ServiceError, match="cannot be reached"):
        client.model()
