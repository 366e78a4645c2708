"""GraphQL over HTTP and SSE: media types, status codes, frames; and what the operator is told of it all.

https://graphql.github.io/graphql-over-http/draft/ and
https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    build_client_schema,
    build_schema,
    get_introspection_query,
)
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from db.embedded import Cluster
from schema.api import Api
from tests.conftest import SignIn, sign_in
from tests.people import CREATE_CONVERSATION, CREATE_MESSAGE, MESSAGE_CREATED, PATIENCE_SECONDS, Person
from tests.serving import Server, eventually, running_server

JSON = "application/json; charset=utf-8"
GRAPHQL_JSON = "application/graphql-response+json; charset=utf-8"
EVENT_STREAM = "text/event-stream; charset=utf-8"
AS_STREAM = {"accept": "text/event-stream"}
URQL = (
    "application/graphql-response+json, application/graphql+json, application/json, text/event-stream,"
    " multipart/mixed"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
VIEWER = "{ viewer { username } }"

CONTRACT = """
    scalar DateTime
    interface Node { id: ID! }
    type User implements Node { id: ID! username: String! avatarUrl: String }
    type Conversation implements Node {
        id: ID! participants: [User!]! otherParticipant: User lastMessage: Message unreadCount: Int!
        hasUnreadMessages: Boolean!
        messages(first: Int, after: String, last: Int, before: String): MessageConnection!
    }
    type Message implements Node {
        id: ID! content: String! createdAt: DateTime! author: User! mine: Boolean! readByOthers: Boolean!
        idempotencyKey: ID
        conversation: Conversation!
    }
    type PageInfo { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }
    type ConversationConnection { edges: [ConversationEdge!]! pageInfo: PageInfo! }
    type ConversationEdge { cursor: String! node: Conversation! }
    type MessageConnection { edges: [MessageEdge!]! pageInfo: PageInfo! }
    type MessageEdge { cursor: String! node: Message! }
    type Query {
        viewer: User inboxCursor: String! node(id: ID!): Node nodes(ids: [ID!]!): [Node]!
        user(username: String!): User searchUsers(search: String!, first: Int! = 5): [User!]!
        conversation(id: ID!): Conversation
        conversations(first: Int! = 25, after: String): ConversationConnection!
    }
    type Mutation {
        createConversation(input: CreateConversationInput!): CreateConversationPayload!
        createMessage(input: CreateMessageInput!): CreateMessagePayload!
        readMessages(input: ReadMessagesInput!): ReadMessagesPayload!
        updateProfile(input: UpdateProfileInput!): UpdateProfilePayload!
    }
    input CreateConversationInput { username: String! }
    type CreateConversationPayload { conversation: Conversation created: Boolean! userErrors: [UserError!]! }
    input CreateMessageInput { conversationId: ID! content: String! idempotencyKey: ID }
    type CreateMessagePayload { message: Message userErrors: [UserError!]! }
    input ReadMessagesInput { conversationId: ID! upToMessageId: ID }
    type ReadMessagesPayload { conversation: Conversation userErrors: [UserError!]! }
    input UpdateProfileInput { username: String avatarUrl: String }
    type UpdateProfilePayload { user: User userErrors: [UserError!]! }
    type UserError { code: UserErrorCode! message: String! path: [String!]! }
    enum UserErrorCode { BLANK TOO_LONG INVALID NOT_FOUND TAKEN SELF }
    type Subscription { messageCreated(after: String, includeMine: Boolean! = false): MessageCreated! }
    type MessageCreated { cursor: String! message: Message! }
"""


@pytest.fixture
async def ada(signs_in: SignIn) -> Person:
    return await signs_in("ada")


async def posts(
    http: httpx.AsyncClient, body: object, accept: str | None = "application/json", **headers: str
) -> httpx.Response:
    """Send a body as it is, or as JSON; without `accept` the header is absent, which httpx would add."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"content-type": "application/json", **headers}
    request = http.build_request("POST", "/graphql", content=content, headers=sent)
    del request.headers["accept"]
    if accept is not None:
        request.headers["accept"] = accept
    return await http.send(request)


async def asks(
    http: httpx.AsyncClient, method: str, path: str, body: dict[str, str], headers: dict[str, str]
) -> httpx.Response:
    """Ask for an event stream by GET or POST."""
    sent = {**AS_STREAM, **headers}
    async with asyncio.timeout(PATIENCE_SECONDS):
        if method == "GET":
            return await http.get(path, params=body, headers=sent)
        return await http.post(path, json=body, headers=sent)


def refused(response: httpx.Response, status: int, code: str = "BAD_USER_INPUT") -> str:
    """Return the message of a request that was refused as a whole, in a well-formed GraphQL answer."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] in {JSON, GRAPHQL_JSON}
    answer = response.json()
    assert set(answer) == {"errors"}
    for error in answer["errors"]:
        assert error["extensions"]["code"] == code
        assert error["message"]
    return answer["errors"][0]["message"]


def executed(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    answer = response.json()
    assert "errors" not in answer, answer
    return answer["data"]


def events(body: bytes) -> list[tuple[str, Any]]:
    """Read a finished stream as strictly as the least forgiving client does."""
    assert b"\r" not in body
    assert body.endswith(b"\n\n")
    found: list[tuple[str, Any]] = []
    for block in body[:-2].split(b"\n\n"):
        fields = dict(line.split(b":", 1) for line in block.split(b"\n"))
        assert set(fields) <= {b"event", b"id", b"data"}
        data = fields[b"data"].strip()
        found.append((fields[b"event"].strip().decode(), json.loads(data) if data else None))
    return found


# What is negotiated


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
async def test_the_answer_has_the_media_type_that_is_asked_for_first(
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
async def test_what_cannot_be_answered_acceptably_is_not_answered(http: httpx.AsyncClient, accept: str):
    assert "application/json" in refused(await posts(http, {"query": VIEWER}, accept), 406)


async def test_accept_may_come_in_several_lines(http: httpx.AsyncClient):
    lines = [("accept", "text/html;q=0.1"), ("accept", "application/graphql-response+json")]
    response = await http.get("/graphql", params={"query": VIEWER}, headers=lines)
    assert response.headers["content-type"] == GRAPHQL_JSON


SYNTAX_ERROR = {"query": "{ viewer "}
UNKNOWN_FIELD = {"query": "{ viewer { shoeSize } }"}
UNFIT_VARIABLE: dict[str, Any] = {
    "query": "query ($id: ID!) { node(id: $id) { id } }",
    "variables": {"id": {}},
}
MISSING_VARIABLE = {"query": "query ($id: ID!) { node(id: $id) { id } }"}
NOT_EXECUTED: list[dict[str, Any]] = [SYNTAX_ERROR, UNKNOWN_FIELD, UNFIT_VARIABLE, MISSING_VARIABLE]


@pytest.mark.parametrize("body", NOT_EXECUTED, ids=["syntax", "validation", "variable", "missing variable"])
async def test_what_is_not_executed_is_400_only_where_the_media_type_says_it_is_graphql(
    http: httpx.AsyncClient, body: dict[str, Any]
):
    """A proxy may have written a 400 in application/json; the draft keeps 200 for old clients there."""
    refused(await posts(http, body, "application/json"), 200)
    refused(await posts(http, body, "application/graphql-response+json"), 400)
    refused(await posts(http, body, URQL), 400)


@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json"])
async def test_what_a_resolver_turns_down_is_a_200_with_data_and_errors(http: httpx.AsyncClient, accept: str):
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
async def test_which_operation_is_meant_must_be_clear(http: httpx.AsyncClient, accept: str):
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


# What is asked


async def test_a_query_may_be_asked_by_get(http: httpx.AsyncClient, ada: Person):
    params = {
        "query": f"query one {VIEWER} query two($name: String!) {{ user(username: $name) {{ username }} }}",
        "operationName": "two",
        "variables": json.dumps({"name": ada.username}),
        "extensions": "{}",
    }
    response = await http.get("/graphql", params=params, headers=ada.headers)
    assert executed(response) == {"user": {"username": ada.username}}
    params |= {"operationName": "one", "variables": "", "extensions": ""}
    assert executed(await http.get("/graphql", params=params, headers=ada.headers))["viewer"]


@pytest.mark.parametrize(
    "accept", ["application/json", "application/graphql-response+json", "text/event-stream"]
)
async def test_a_get_changes_nothing(http: httpx.AsyncClient, ada: Person, accept: str):
    new_name = f"{ada.username}-2"
    mutation = 'mutation { updateProfile(input: {username: "%s"}) { user { username } } }'
    for query in (mutation, f"query harmless {VIEWER} {mutation.replace('mutation', 'mutation harmful', 1)}"):
        params = {"query": query.replace("%s", new_name)} | (
            {"operationName": "harmful"} if "harmful" in query else {}
        )
        response = await http.get("/graphql", params=params, headers={**ada.headers, "accept": accept})
        refused(response, 405)
        assert response.headers["allow"] == "POST"
    assert await ada.asks(VIEWER) == {"viewer": {"username": ada.username}}


@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json", URQL, "*/*"])
async def test_a_subscription_cannot_be_one_answer(http: httpx.AsyncClient, ada: Person, accept: str):
    asked = {"query": "subscription { messageCreated { cursor } }"}
    assert "text/event-stream" in refused(await posts(http, asked, accept, **ada.headers), 406)
    response = await http.get("/graphql", params=asked, headers={**ada.headers, "accept": accept})
    refused(response, 406)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"query": "{ viewer { id } }"',
        b'{"query": NaN}',
        b'{"query": "{ viewer { id } }", "variables": {"x": Infinity}}',
        [],
        [{"query": VIEWER}],
        "{ viewer { id } }",
        None,
        7,
        {},
        {"qeury": VIEWER},
        {"query": None},
        {"query": ""},
        {"query": 7},
        {"query": [VIEWER]},
        {"query": VIEWER, "variables": "{}"},
        {"query": VIEWER, "variables": [1]},
        {"query": VIEWER, "variables": 7},
        {"query": VIEWER, "variables": False},
        {"query": VIEWER, "operationName": 7},
        {"query": VIEWER, "operationName": {}},
        {"query": VIEWER, "extensions": "{}"},
        {"query": VIEWER, "extensions": []},
    ],
    ids=lambda body: repr(body)[:60],
)
@pytest.mark.parametrize(
    "accept", ["application/json", "application/graphql-response+json", "text/event-stream"]
)
async def test_a_malformed_post_is_refused(http: httpx.AsyncClient, body: object, accept: str):
    refused(await posts(http, body, accept), 400)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"query": ""},
        {"operationName": "one"},
        {"query": VIEWER, "variables": "{"},
        {"query": VIEWER, "variables": "[]"},
        {"query": VIEWER, "variables": '"{}"'},
        {"query": VIEWER, "variables": '{"x": NaN}'},
        {"query": VIEWER, "extensions": "7"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "accept", ["application/json", "application/graphql-response+json", "text/event-stream"]
)
async def test_a_malformed_get_is_refused(http: httpx.AsyncClient, params: dict[str, str], accept: str):
    refused(await http.get("/graphql", params=params, headers={"accept": accept}), 400)


async def test_what_may_be_left_out_may_be_null(http: httpx.AsyncClient):
    nothing = {"variables": None, "operationName": None, "extensions": None}
    assert executed(await posts(http, {"query": VIEWER, **nothing})) == {"viewer": None}
    given: dict[str, Any] = {
        "variables": {"unused": 1},
        "extensions": {"persistedQuery": {}},
        "somethingElse": 1,
    }
    assert executed(await posts(http, {"query": VIEWER, **given})) == {"viewer": None}


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/graphql",
    ],
)
async def test_only_json_is_read(http: httpx.AsyncClient, content_type: str):
    refused(await posts(http, {"query": VIEWER}, **{"content-type": content_type}), 415)


async def test_a_body_over_the_limit_is_refused(http: httpx.AsyncClient):
    most = 256 * 1024
    largest = json.dumps({"query": VIEWER}).encode().ljust(most)
    assert executed(await posts(http, largest)) == {"viewer": None}
    refused(await posts(http, largest + b" "), 413)


@pytest.mark.parametrize("path", ["/graphql", "/graphql/stream"])
@pytest.mark.parametrize("method", ["PATCH", "OPTIONS", "HEAD", "PROPFIND"])
async def test_other_methods_are_not_allowed(http: httpx.AsyncClient, method: str, path: str):
    response = await http.request(method, path, params={"query": VIEWER})
    assert response.status_code == 405
    assert {"GET", "POST"} <= set(response.headers["allow"].split(", ")) <= {"GET", "POST", "PUT", "DELETE"}
    if method != "HEAD":
        refused(response, 405)


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/graphql/",
        "/graphql/nowhere",
        "/Graphql",
        "/auth",
        "/auth/nowhere",
        "/health",
        "/%00",
        "//graphql",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_path_is_not_found_and_says_so_in_json(server: Server, method: str, path: str):
    async with httpx.AsyncClient() as http:
        response = await http.request(method, server.url + path)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/json"
    assert response.json()["error"]["code"] == "NOT_FOUND"


@pytest.mark.parametrize("path", ["/auth/refresh", "/health/live", "/metrics"])
async def test_a_method_that_a_path_does_not_have_is_refused_in_json(http: httpx.AsyncClient, path: str):
    response = await http.delete(path)
    assert response.status_code == 405
    assert response.json()["error"]["code"] == "BAD_USER_INPUT"


async def test_the_schema_says_what_the_contract_says(http: httpx.AsyncClient):
    """Names, arguments and nullability, as a client learns them."""
    answer = await posts(http, {"query": get_introspection_query(input_value_deprecation=True)})
    served = build_client_schema(executed(answer))
    for name, expected in build_schema(CONTRACT).type_map.items():
        actual = served.type_map[name]
        assert type(actual) is type(expected), name
        assert lines_of(expected) <= lines_of(actual), name


def lines_of(named_type: GraphQLNamedType) -> set[str]:
    """Say what a type has, each with what clients rely on."""
    if isinstance(named_type, GraphQLEnumType):
        return set(named_type.values)
    if isinstance(named_type, GraphQLInputObjectType):
        return {f"{name}: {field.type}" for name, field in named_type.fields.items()}
    lines: set[str] = set()
    if isinstance(named_type, (GraphQLObjectType, GraphQLInterfaceType)):
        lines |= {f"implements {interface.name}" for interface in named_type.interfaces}
        for name, field in named_type.fields.items():
            lines.add(f"{name}: {field.type}")
            lines |= {f"{name}({each}: {argument.type})" for each, argument in field.args.items()}
    return lines


# Distinct connections: an operation and its stream


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
    # An `id` for the EventSource, which returns once more; a line of data, without which it hears nothing.
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
async def test_over_sse_what_is_not_valid_is_a_next_with_errors(
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
async def test_over_sse_what_cannot_be_parsed_is_a_400(http: httpx.AsyncClient, method: str):
    response = await asks(http, method, "/graphql/stream", SYNTAX_ERROR, {})
    refused(response, 400)
    assert response.headers["content-type"] == JSON


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic YQ=="}], ids=str
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_subscription_of_nobody_is_a_next_with_unauthenticated_and_a_complete(
    http: httpx.AsyncClient, method: str, headers: dict[str, str]
):
    """With a 401 instead, a client would try five times again."""
    asked = {"query": "subscription { messageCreated { cursor } }"}
    response = await asks(http, method, "/graphql/stream", asked, headers)
    assert (response.status_code, response.headers["content-type"]) == (200, EVENT_STREAM)
    [(first, answer), last] = events(response.content)
    assert (first, last) == ("next", ("complete", None))
    [error] = answer["errors"]
    assert (error["path"], error["extensions"]) == (["messageCreated"], {"code": "UNAUTHENTICATED"})


async def raw_until(response: httpx.Response, end: bytes) -> bytes:
    """Return what comes on an open stream, up to a block that ends like this."""
    body = b""
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for chunk in response.aiter_raw():
            body += chunk
            if body.endswith(end):
                return body
    raise AssertionError(body)


@pytest.mark.parametrize("path", ["/graphql", "/graphql/stream"])
async def test_an_event_source_hears_frames_that_end_in_line_feeds(
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
async def test_an_event_source_that_returns_after_complete_is_told_to_stay_away(
    http: httpx.AsyncClient, method: str, path: str
):
    asked = {"query": MESSAGE_CREATED}
    response = await asks(http, method, path, asked, {"last-event-id": "complete"})
    assert (response.status_code, response.content) == (204, b"")


# What the operator is told


def logged(server: Server, request_id: str) -> list[dict[str, Any]]:
    """Return the finished lines of the log about a request, or none yet if the last one is still to come."""
    lines = [line for line in server.log_path.read_text().splitlines() if request_id in line]
    if not lines or '"event": "request"' not in lines[-1] or not lines[-1].endswith("}"):
        return []
    return [json.loads(line) for line in lines]


async def log_lines(server: Server, request_id: str) -> list[dict[str, Any]]:
    await eventually(lambda: bool(logged(server, request_id)))
    return logged(server, request_id)


async def test_every_answer_has_an_id_that_is_in_the_log(
    http: httpx.AsyncClient, server: Server, ada: Person
):
    responses = [
        await ada.posts(VIEWER),
        await posts(http, SYNTAX_ERROR),
        await posts(http, {"query": VIEWER}, "text/plain"),
        await posts(http, {"query": VIEWER}, "text/event-stream"),
        await posts(http, b"x" * 300_000),
        await http.post("/graphql", content=b"{}"),
        await http.patch("/graphql"),
        await http.get("/nowhere"),
        await http.get("/"),
        await http.post("/auth/logout"),
        await http.get("/auth/logout"),
        await http.get("/health/live"),
        await http.get("/metrics"),
        await http.post("/graphql", headers={**AS_STREAM, "last-event-id": "complete"}),
    ]
    ids = [response.headers["x-request-id"] for response in responses]
    assert len(set(ids)) == len(responses)
    for response, request_id in zip(responses, ids, strict=True):
        assert re.fullmatch(r"[0-9a-f]{32}", request_id)
        assert response.headers["x-content-type-options"] == "nosniff"
        [line] = await log_lines(server, request_id)
        assert (line["method"], line["path"]) == (response.request.method, response.request.url.path)
        assert (line["status"], line["level"]) == (response.status_code, "info")
        assert 0 <= line["milliseconds"] < 60_000
    # The sender does not choose it: a log is not theirs to write.
    response = await http.get("/health/live", headers={"x-request-id": "mine"})
    assert response.headers["x-request-id"] not in {"mine", *ids}


async def test_the_log_holds_no_token_and_nothing_that_people_write(
    http: httpx.AsyncClient, server: Server, ada: Person, signs_in: SignIn
):
    grace = await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    secret = uuid4().hex
    await ada.sends(secret, to=conversation)
    query = f'query {{ user(username: "{secret}") {{ id }} }}'
    response = await http.get("/graphql", params={"query": query}, headers=ada.headers)
    await log_lines(server, response.headers["x-request-id"])
    log = server.log_path.read_text()
    assert secret not in log
    assert ada.token not in log


async def test_the_numbers_go_with_what_happens(http: httpx.AsyncClient, server: Server, ada: Person):
    samples = {
        'messenger_http_requests_total{method="POST",path="/graphql",status="200"}': 4,
        'messenger_http_requests_total{method="POST",path="/graphql",status="400"}': 1,
        'messenger_http_requests_total{method="GET",path="/graphql/stream",status="204"}': 1,
        'messenger_http_requests_total{method="POST",path="/auth/",status="401"}': 1,
        'messenger_http_request_seconds_count{path="/graphql"}': 5,
        'messenger_operations_total{field="viewer",outcome="ok"}': 2,
        'messenger_operations_total{field="inboxCursor",outcome="refused"}': 1,
    }
    before = {sample: server.metric(sample) for sample in samples}
    await ada.asks(VIEWER)
    await ada.asks("{ me: viewer { id } }")
    await posts(http, {"query": "{ inboxCursor }"})
    await posts(http, SYNTAX_ERROR)
    await posts(http, {})
    await http.get("/graphql/stream", headers={**AS_STREAM, "last-event-id": "complete"})
    await http.post("/auth/refresh")

    def differences() -> dict[str, float]:
        return {sample: server.metric(sample) - before[sample] for sample in samples}

    await eventually(lambda: differences() == samples)


async def test_open_streams_are_counted_while_they_are_open(server: Server, ada: Person):
    await eventually(lambda: server.metric("messenger_open_streams") == 0)
    gone = 'messenger_streams_ended_total{reason="client gone"}'
    ended = server.metric(gone)
    async with ada.listening(), ada.listening():
        assert server.metric("messenger_open_streams") == 2
    await eventually(lambda: server.metric("messenger_open_streams") == 0)
    assert server.metric(gone) == ended + 2


async def test_nobody_can_make_the_numbers_grow_without_bound(http: httpx.AsyncClient):
    for prefix in (
        "/", "/graphql/", "/auth/", "/health/", "/assets/", "/graphiql/", "/metrics/", "/graphql/stream/"
    ):  # fmt: skip
        for method in ("GET", "PROPFIND"):
            await http.request(method, f"{prefix}{uuid4()}")
    await posts(http, {"query": f"{{ a{uuid4().hex}: __typename }}"})
    page = (await http.get("/metrics")).text
    paths = set(re.findall(r'path="([^"]*)"', page))
    assert paths <= {
        "/graphql", "/graphql/stream", "/auth/", "/health/", "/metrics", "/assets/", "/graphiql/", "other"
    }  # fmt: skip
    assert "other" in paths
    fields = set(re.findall(r'field="([^"]*)"', page))
    assert fields <= set(re.findall(r"\w+", Api().sdl())) | {"__typename", "__schema", "__type"}


async def test_the_server_is_alive_and_ready(http: httpx.AsyncClient):
    live, ready = await http.get("/health/live"), await http.get("/health/ready")
    assert (live.status_code, live.json()) == (200, {"status": "live"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})


class OwnDatabase:
    """A database that a test may break, and the server that uses it."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.url = cluster.url(name)
        self._name = name
        self._admin = create_async_engine(cluster.url(), isolation_level="AUTOCOMMIT")

    async def create(self) -> None:
        await self._administer(f"CREATE DATABASE {self._name}")

    @asynccontextmanager
    async def without(self, table: str) -> AsyncGenerator[None]:
        """Keep a table out of reach while the block runs."""
        engine = create_async_engine(self.url, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.execute(text(f"ALTER TABLE {table} RENAME TO mislaid"))
            try:
                yield
            finally:
                await connection.execute(text(f"ALTER TABLE mislaid RENAME TO {table}"))
        await engine.dispose()

    @asynccontextmanager
    async def away(self) -> AsyncGenerator[None]:
        """Let nobody connect while the block runs, and those who are connected no more."""
        await self._administer(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS false")
        await self._administer(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self._name}'"
        )
        try:
            yield
        finally:
            await self._administer(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS true")

    async def _administer(self, statement: str) -> None:
        async with self._admin.connect() as connection:
            await connection.execute(text(statement))
        await self._admin.dispose()


@pytest.fixture(scope="module")
async def own_database(cluster: Cluster) -> OwnDatabase:
    own = OwnDatabase(cluster, f"own_{uuid4().hex}")
    await own.create()
    return own


@pytest.fixture(scope="module")
async def own_server(
    own_database: OwnDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Server]:
    folder = tmp_path_factory.mktemp("own")
    # Without memory of who has signed in, so that it asks the database.
    with running_server(folder, database_url=own_database.url, session_cache_seconds="0") as running:
        yield running


@pytest.fixture
async def own_http(own_server: Server) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=own_server.url, timeout=30) as http:
        yield http


async def test_a_fault_of_ours_is_masked_and_found_in_the_log_by_its_id(
    own_http: httpx.AsyncClient, own_server: Server, own_database: OwnDatabase
):
    ada, grace = await sign_in(own_http, "ada"), await sign_in(own_http, "grace")
    conversation = await ada.opens_conversation_with(grace)
    message = await ada.sends("hello", to=conversation)
    query = "query ($id: ID!) { viewer { username } node(id: $id) { id } }"
    failed = 'messenger_operations_total{field="node",outcome="failed"}'
    async with own_database.without("messages"):
        response = await ada.posts(query, id=message["id"])
        async with grace.streaming(query, id=message["id"]) as stream:
            streamed = await stream.answer()
            assert (await stream.event()).event == "complete"
        await eventually(lambda: own_server.metric(failed) == 2)
    answer = response.json()
    request_id = response.headers["x-request-id"]
    assert response.status_code == 200
    assert answer["data"] == {"viewer": {"username": ada.username}, "node": None}
    [error] = answer["errors"]
    assert error["extensions"] == {"code": "INTERNAL", "requestId": request_id}
    assert error["path"] == ["node"]
    assert request_id in error["message"]
    assert "messages" not in response.text
    assert streamed["errors"][0]["extensions"]["code"] == "INTERNAL"
    fault, _ = await log_lines(own_server, request_id)
    assert fault["level"] == "error"
    assert fault["path"] == ["node"]
    assert "UndefinedTableError" in json.dumps(fault["exception"])
    assert "resolvers/context.py" in json.dumps(fault["exception"])
    assert (await ada.asks(query, id=message["id"]))["node"] == {"id": message["id"]}


async def test_a_fault_leaves_no_token_and_no_message_in_the_log(
    own_http: httpx.AsyncClient, own_server: Server, own_database: OwnDatabase
):
    ada, grace = await sign_in(own_http, "ada"), await sign_in(own_http, "grace")
    conversation = await ada.opens_conversation_with(grace)
    secret = uuid4().hex
    async with own_database.without("messages"):
        given = {"conversationId": conversation, "content": secret}
        answer = await ada.answer(CREATE_MESSAGE, input=given)
        assert answer["errors"][0]["extensions"]["code"] == "INTERNAL"
        assert secret not in str(answer)
    async with own_database.without("sessions"):
        for response in (await ada.posts(VIEWER), await own_http.post("/auth/logout", headers=ada.headers)):
            assert response.status_code == 500
            assert response.headers["x-request-id"] in response.text
            assert "sessions" not in response.text
            await log_lines(own_server, response.headers["x-request-id"])
    log = own_server.log_path.read_text()
    assert log.count("UndefinedTableError") >= 3
    assert ada.token not in log
    assert secret not in log


async def test_without_its_database_the_server_is_not_ready_and_comes_back_with_it(
    own_http: httpx.AsyncClient, own_server: Server, own_database: OwnDatabase
):
    ada = await sign_in(own_http, "ada")
    assert (await own_http.get("/health/ready")).status_code == 200
    async with own_database.away():
        ready = await own_http.get("/health/ready")
        assert (ready.status_code, ready.json()) == (503, {"status": "no answer from the database"})
        assert (await own_http.get("/health/live")).status_code == 200
        assert (await own_http.get("/metrics")).status_code == 200
        response = await ada.posts(VIEWER)
        refused(response, 503, "UNAVAILABLE")
        login = await own_http.post("/auth/dev/login", json={"username": ada.username})
        assert (login.status_code, login.json()["error"]["code"]) == (503, "UNAVAILABLE")
        for answer in (response, login):
            assert int(answer.headers["retry-after"]) >= 1
            assert "own_" not in answer.text
    assert (await own_http.get("/health/ready")).status_code == 200
    assert await ada.asks(VIEWER) == {"viewer": {"username": ada.username}}
