"""Distinct connections mode: one stream per operation."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.conftest import SignIn
from tests.server.graphql.asking import (
    AS_STREAM,
    EVENT_STREAM,
    JSON,
    MISSING_VARIABLE,
    SYNTAX_ERROR,
    UNFIT_VARIABLE,
    UNKNOWN_FIELD,
    VIEWER,
    asks,
    events,
    posts,
    refused,
)
from tests.support.people import CREATE_CONVERSATION, MESSAGE_CREATED, PATIENCE_SECONDS, Person


@pytest.mark.parametrize("path", ["/graphql", "/graphql/stream"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_query_over_sse_is_a_next_and_a_complete(
    http: httpx.AsyncClient, ada: Person, method: str, path: str
):
    asked = {"query": VIEWER}
    response = await asks(http, method, path, asked, ada.headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == EVENT_STREAM
    assert response.headers["cache-control"].startswith("no-cache")
    assert response.headers["x-accel-buffering"] == "no"
    data = json.dumps({"data": {"viewer": {"username": ada.username}}}, separators=(",", ":"))
    # An `id` for EventSource, which reconnects once; a data line, without which it ignores the event.
    end = b"event: complete\nid: complete\ndata: \n\n"
    assert response.content == f"event: next\ndata: {data}\n\n".encode() + end


async def test_a_mutation_over_sse_is_executed_once(ada: Person):
    async with ada.streaming(CREATE_CONVERSATION, input={"username": ada.username}) as stream:
        created = (await stream.answer())["data"]["createConversation"]
        assert [error["code"] for error in created["userErrors"]] == ["SELF"]
        assert (await stream.event()).event == "complete"
    rename = 'mutation { updateProfile(input: {username: "%s"}) { user { username } } }'
    async with ada.streaming(rename.replace("%s", f"{ada.username}-2")) as stream:
        assert (await stream.answer())["data"]["updateProfile"]["user"]["username"] == f"{ada.username}-2"
        assert (await stream.event()).event == "complete"


@pytest.mark.parametrize("body", [UNKNOWN_FIELD, UNFIT_VARIABLE, MISSING_VARIABLE], ids=str)
async def test_an_invalid_operation_over_sse_is_a_next_with_errors(
    http: httpx.AsyncClient, body: dict[str, Any]
):
    asked = [
        body,
        {**body, "query": "subscription ($id: String) { messageCreated(after: $id) { shoeSize } }"},
    ]
    for each in asked:
        response = await posts(http, each, "text/event-stream")
        assert (response.status_code, response.headers["content-type"]) == (200, EVENT_STREAM)
        [(first, answer), last] = events(response.content)
        assert (first, last) == ("next", ("complete", None))
        assert set(answer) == {"errors"}
        assert {error["extensions"]["code"] for error in answer["errors"]} == {"BAD_USER_INPUT"}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_malformed_request_over_sse_is_a_400(http: httpx.AsyncClient, method: str):
    response = await asks(http, method, "/graphql/stream", SYNTAX_ERROR, {})
    refused(response, 400)
    assert response.headers["content-type"] == JSON


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic YQ=="}], ids=str
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unauthenticated_subscription_is_a_next_with_an_error_and_a_complete(
    http: httpx.AsyncClient, method: str, headers: dict[str, str]
):
    """After a 401, a client would retry five times."""
    asked = {"query": "subscription { messageCreated { cursor } }"}
    response = await asks(http, method, "/graphql/stream", asked, headers)
    assert (response.status_code, response.headers["content-type"]) == (200, EVENT_STREAM)
    [(first, answer), last] = events(response.content)
    assert (first, last) == ("next", ("complete", None))
    [error] = answer["errors"]
    assert (error["path"], error["extensions"]) == (["messageCreated"], {"code": "UNAUTHENTICATED"})


async def raw_until(response: httpx.Response, end: bytes) -> bytes:
    """Return the content of an open stream, up to a block that ends like this."""
    body = b""
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for chunk in response.aiter_raw():
            body += chunk
            if body.endswith(end):
                return body
    raise AssertionError(body)


@pytest.mark.parametrize("path", ["/graphql", "/graphql/stream"])
async def test_an_event_source_receives_frames_that_end_in_line_feeds(
    http: httpx.AsyncClient, signs_in: SignIn, ada: Person, path: str
):
    grace = await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    cursor = await grace.inbox_cursor()
    params = {"query": "subscription { messageCreated { cursor message { content } } }"}
    async with http.stream("GET", path, params=params, headers={**grace.headers, **AS_STREAM}) as response:
        assert response.headers["content-type"] == EVENT_STREAM
        await ada.sends("one\r\ntwo\rthree\u2028four 🙂", to=conversation)
        body = await raw_until(response, b"}\n\n")
    assert b"\r" not in body
    blocks = [block for block in body.decode().split("\n\n") if block not in {"", ":"}]
    start, event = blocks
    assert start == f"id: {cursor}"
    kind, place, data = event.split("\n")
    created = json.loads(data.removeprefix("data: "))["data"]["messageCreated"]
    assert (kind, place) == ("event: next", f"id: {created['cursor']}")
    assert created["message"] == {"content": "one\ntwo\nthree\nfour 🙂"}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/graphql", "/graphql/stream"])
async def test_an_event_source_that_reconnects_after_complete_gets_a_204(
    http: httpx.AsyncClient, method: str, path: str
):
    asked = {"query": MESSAGE_CREATED}
    response = await asks(http, method, path, asked, {"last-event-id": "complete"})
    assert (response.status_code, response.content) == (204, b"")
