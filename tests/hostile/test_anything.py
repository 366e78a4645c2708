"""Whatever Hypothesis thinks of."""

import json
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile.sending import codes, sends

KEYS = st.sampled_from(["query", "variables", "operationName", "extensions", "id", "input", "a"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(), inner, max_size=4),
    max_leaves=20,
)
WORDS = st.sampled_from(
    [
        *"{}()[]:=!|&$@",
        *"{}{}(){}",
        "...",
        '"x"',
        '"""x"""',
        "1",
        "-1.5e3",
        "true",
        "null",
        "# x\n",
        ",",
        "query",
        "mutation",
        "subscription",
        "fragment",
        "on",
        "f",
        "Query",
        "User",
        "Conversation",
        "viewer",
        "node",
        "id",
        "conversations",
        "first",
        "messages",
        "edges",
        "__typename",
        "__schema",
        "types",
        "name",
        "include",
        "if",
        "\u2028",
        "é",
    ]
)
OFTEN = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@OFTEN
@given(ANYTHING)
async def test_any_json_is_answered(http: httpx.AsyncClient, body: Any):
    response = await sends(http, json.dumps(body))
    assert response.status_code in {200, 400}
    assert codes(response) <= {"BAD_USER_INPUT", "UNAUTHENTICATED", "TOO_COMPLEX"}


@OFTEN
@given(st.lists(WORDS, max_size=40).map(" ".join), ANYTHING)
async def test_any_document_is_answered(http: httpx.AsyncClient, document: str, variables: Any):
    response = await sends(http, json.dumps({"query": document, "variables": variables}))
    assert response.status_code in {200, 400}
    assert codes(response) <= {"BAD_USER_INPUT", "UNAUTHENTICATED", "TOO_COMPLEX"}


@OFTEN
@given(st.binary(max_size=200))
async def test_any_bytes_are_answered(http: httpx.AsyncClient, body: bytes):
    response = await sends(http, body)
    assert response.status_code == 400
    assert codes(response) == {"BAD_USER_INPUT"}
