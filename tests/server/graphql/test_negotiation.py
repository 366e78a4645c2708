"""The media type of an answer, and its status code."""

from typing import Any

import httpx
import pytest

from tests.server.graphql.asking import (
    BROWSER,
    EVENT_STREAM,
    GRAPHQL_JSON,
    JSON,
    NOT_EXECUTED,
    URQL,
    VIEWER,
    events,
    executed,
    posts,
    refused,
)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, JSON),
        ("", JSON),
        (",", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/json", JSON),
        ("APPLICATION/JSON", JSON),
        ("application/json; charset=utf-8", JSON),
        ("application/graphql-response+json", GRAPHQL_JSON),
        ("application/graphql-response+json, application/json", GRAPHQL_JSON),
        ("application/json, application/graphql-response+json", JSON),
        ("application/json;q=0.5, application/graphql-response+json", GRAPHQL_JSON),
        ("application/graphql-response+json; q=0.9, application/json; q=0.91", JSON),
        ("application/graphql-response+json;charset=utf-8, application/json;q=0.9", GRAPHQL_JSON),
        ("application/graphql-response+json;q=0, application/*", JSON),
        ("*/*, application/json;q=0.5", GRAPHQL_JSON),
        ("*/*;q=0.9, application/*;q=0.1", EVENT_STREAM),
        ("text/event-stream", EVENT_STREAM),
        ("text/*", EVENT_STREAM),
        ("text/event-stream, application/json", EVENT_STREAM),
        ("application/json, text/event-stream", JSON),
        ("text/event-stream;q=0.5, */*", JSON),
        ("text/event-stream;q=0, */*;q=0.1", JSON),
        (URQL, GRAPHQL_JSON),
        ("multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json", JSON),
        (BROWSER, JSON),
        ("image/png, , application/json", JSON),
    ],
)
async def test_the_answer_has_the_preferred_media_type(
    http: httpx.AsyncClient, accept: str | None, content_type: str
):
    response = await posts(http, {"query": VIEWER}, accept)
    assert (response.status_code, response.headers["content-type"]) == (200, content_type)
    expected = {"data": {"viewer": None}}
    if content_type == EVENT_STREAM:
        assert events(response.content) == [("next", expected), ("complete", None)]
    else:
        assert response.json() == expected
        assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "accept",
    ["text/plain", "application/xml, image/*", "application/json;q=0", "*/*;q=0", "*/*;q=nan", "json"],
)
async def test_a_request_without_an_acceptable_media_type_is_a_406(http: httpx.AsyncClient, accept: str):
    assert "application/json" in refused(await posts(http, {"query": VIEWER}, accept), 406)


async def test_accept_can_be_split_over_several_headers(http: httpx.AsyncClient):
    lines = [("accept", "text/html;q=0.1"), ("accept", "application/graphql-response+json")]
    response = await http.get("/graphql", params={"query": VIEWER}, headers=lines)
    assert response.headers["content-type"] == GRAPHQL_JSON


@pytest.mark.parametrize("body", NOT_EXECUTED, ids=["syntax", "validation", "variable", "missing variable"])
async def test_requests_that_are_not_executed_are_a_400_only_in_the_graphql_media_type(
    http: httpx.AsyncClient, body: dict[str, Any]
):
    """A proxy may have written a 400 in application/json; the draft keeps 200 there for old clients."""
    refused(await posts(http, body, "application/json"), 200)
    refused(await posts(http, body, "application/graphql-response+json"), 400)
    refused(await posts(http, body, URQL), 400)


@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json"])
async def test_an_error_from_a_resolver_is_a_200_with_data_and_errors(http: httpx.AsyncClient, accept: str):
    response = await posts(http, {"query": "{ viewer { id } inboxCursor }"}, accept)
    assert response.status_code == 200
    answer = response.json()
    assert answer["data"] is None
    [error] = answer["errors"]
    assert (error["path"], error["extensions"]) == (["inboxCursor"], {"code": "UNAUTHENTICATED"})
    partly = await posts(http, {"query": '{ viewer { id } user(username: "ada") { id } }'}, accept)
    assert partly.status_code == 200
    assert partly.json()["data"] == {"viewer": None, "user": None}


@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json"])
async def test_the_operation_must_be_unambiguous(http: httpx.AsyncClient, accept: str):
    both = "query one { viewer { id } } query two { __typename }"
    assert executed(await posts(http, {"query": both, "operationName": "two"}, accept)) == {
        "__typename": "Query"
    }
    assert executed(await posts(http, {"query": "{ __typename }", "operationName": ""}, accept))
    # Nothing is executed, and the draft keeps 200 for application/json.
    status = 200 if accept == "application/json" else 400
    refused(await posts(http, {"query": both}, accept), status)
    assert "three" in refused(await posts(http, {"query": both, "operationName": "three"}, accept), status)
    refused(await posts(http, {"query": "fragment f on User { id }"}, accept), status)
