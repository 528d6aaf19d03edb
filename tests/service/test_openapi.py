"""The service keeps to its own description, whatever it is asked."""

from __future__ import annotations

import os
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.service.conftest import Service, Start

CASES = int(os.environ.get("SIMDNN_FUZZ", "300")) // 20
"""Cases of each path."""

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def fuzzed(start_module: Start) -> Service:
    return start_module(max_body=1_000_000, max_pixels=1_000_000)


def test_every_path_says_what_it_may_answer(fuzzed: Service) -> None:
    described = fuzzed.client.get("/openapi.json").json()
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            for status, reply in operation["responses"].items():
                if status[0] in "45":
                    assert list(reply["content"]) == ["application/problem+json"], (where, status)
            if "{" not in path and method == "get" and operation.get("security"):
                assert "401" in operation["responses"], where
    assert {"/v1/check", "/v1/check/batch", "/v1/model", "/v2/models/{name}/infer", "/readyz"} <= set(
        described["paths"]
    )


def test_no_request_breaks_the_description(fuzzed: Service) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", fuzzed.app)
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > 15
    for operation in operations:
        ask_at_random(fuzzed, operation)


def ask_at_random(service: Service, operation: Any) -> None:
    @given(data=st.data())
    @settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def run(data: Any) -> None:
        mode = data.draw(st.sampled_from(list(schemathesis.GenerationMode)))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        headers = data.draw(st.sampled_from([service.auditor, service.auditor, service.checker, {}]))
        case.validate_response(case.call(headers=headers), checks=CHECKS)

    run()


def test_the_description_names_the_application(fuzzed: Service) -> None:
    assert isinstance(fuzzed.app, FastAPI)
    assert fuzzed.client.get("/openapi.json").json()["info"]["title"] == "Sim-DNN"
