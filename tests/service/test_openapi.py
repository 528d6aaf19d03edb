"""The service keeps to its own description, whatever it is asked."""

from __future__ import annotations

import os
from math import ceil
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

CASES = int(os.environ.get("SIMDNN_FUZZ", "300"))
"""Requests of all paths together."""

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


def test_no_request_breaks_the_description(fuzzed: Service, record_property: Any) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", fuzzed.app)
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > 15
    asked = 0
    while asked < CASES:
        each = ceil((CASES - asked) / len(operations))
        numbers = [ask_at_random(fuzzed, operation, each) for operation in operations]
        asked += sum(numbers)
        # a path without parameters has few different requests: the others get what is left
        operations = [one for one, number in zip(operations, numbers, strict=True) if number >= each]
    record_property("cases", asked)


def ask_at_random(service: Service, operation: Any, most: int) -> int:
    """Send up to so many different requests; return how many there were."""
    asked = 0

    @given(data=st.data())
    @settings(
        max_examples=most,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def run(data: Any) -> None:
        nonlocal asked
        mode = data.draw(st.sampled_from(list(schemathesis.GenerationMode)))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        headers = data.draw(st.sampled_from([service.auditor, service.auditor, service.checker, {}]))
        case.validate_response(case.call(headers=headers), checks=CHECKS)
        asked += 1

    run()
    return asked


def test_the_description_names_the_application(fuzzed: Service) -> None:
    assert isinstance(fuzzed.app, FastAPI)
    assert fuzzed.client.get("/openapi.json").json()["info"]["title"] == "Sim-DNN"
