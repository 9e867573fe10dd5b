"""Schemathesis against a running service: the OpenAPI document says what is so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from measured_scenes import FAR, NEAR, UPON, frame
from running import client, npy, record, service, upload

from calipers.tools import TOOLS

schemathesis = pytest.importorskip("schemathesis")
OPERATIONS = [
    "GET /health", "GET /tools", "POST /sessions", "POST /sessions/open",
    "GET /sessions/{session}", "DELETE /sessions/{session}",
    *(f"POST /sessions/{{session}}/{tool}" for tool in TOOLS),
]  # fmt: skip


@pytest.fixture(scope="module")
def open_session() -> Iterator[tuple[str, str]]:
    """A service's address, and the name of a session that is open there."""
    made = frame(NEAR, FAR, UPON)
    with service(limits={"sessions_a_client": 200}) as (url, _):
        with client(url) as http:
            answer = upload(http, npy(made.depth_m), record(made))
        yield url, answer.json()["session"]


def checks() -> list[Any]:
    """All but one: what fits the schema is not always accepted.

    A point beyond 1 is one of the picture only with ``pixels``, and a name may be that of several
    objects: 422, in words.
    """
    from schemathesis.specs.openapi import checks as known

    return [
        schemathesis.checks.not_a_server_error,
        known.status_code_conformance,
        known.content_type_conformance,
        known.response_headers_conformance,
        known.response_schema_conformance,
        known.negative_data_rejection,
        known.unsupported_method,
    ]


@pytest.mark.parametrize("label", OPERATIONS)
def test_the_document_is_true(open_session: tuple[str, str], label: str) -> None:
    """Calls of a tool go to the session that is there; fitting arguments and others."""
    url, session = open_session
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    found = {item.ok().label: item.ok() for item in schema.get_all_operations()}
    assert set(found) == set(OPERATIONS)
    operation = found[label]
    modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    strategies = [operation.as_strategy(generation_mode=mode) for mode in modes]

    @given(case=st.one_of(strategies))
    @settings(
        max_examples=50, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def ask(case: Any) -> None:
        if label.rpartition("/")[2] in TOOLS:
            case.path_parameters = {"session": session}
        case.call_and_validate(checks=checks())

    ask()
