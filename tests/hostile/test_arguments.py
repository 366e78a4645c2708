"""Unexpected values in every argument of the schema, and callers without access."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import httpx
import pytest

from db.engine import Database
from schema.node import NodeType
from tests.conftest import SignIn
from tests.hostile.api import Api, Call, Place, learned_from, named, spelled
from tests.hostile.sending import QUICK_SECONDS, Conversation, asks, harmless, sends, stored_in
from tests.support.people import Person


@pytest.fixture
async def api(http: httpx.AsyncClient, conversation: Conversation) -> Api:
    return await learned_from(
        http,
        {
            "id": conversation.id,
            "ids": [conversation.id, conversation.message],
            "conversationId": conversation.id,
            "sessionId": NodeType.SESSION.encode(uuid4()),
            "upToMessageId": conversation.message,
            "messageId": conversation.message,
            "content": "hello",
            "username": conversation.grace.username,
            "search": conversation.grace.username,
            "after": await conversation.ada.inbox_cursor(),
        },
    )


TEXTS = (
    "",
    " ",
    "a\0b",
    "\ud800",
    "\ude42\ud83d",
    "x" * 50_000,
    "🙂",
    "%",
    "\\",
    "'; --",
    "\r\n\x85\u2028\u202e\ufeff",
    "\u0661",
    "C" + "A" * 22,
    "U" + "=" * 22,
    "M" + "é" * 22,
    "OTk5OTk5OTk5OTk5OTk5OTk5OTk5",
    "LTE=",
)
OTHERS: tuple[Any, ...] = (
    None,
    True,
    -1,
    2**31,
    10**300,
    1.5,
    1e308,
    [],
    [[None]],
    ["x"] * 1000,
    {},
    {"a": {"b": []}},
)


async def first_of(stream: Any) -> httpx.Response:
    """Return an answer with the start of its body, because a subscription does not end by itself."""
    async with asyncio.timeout(QUICK_SECONDS), stream as response:
        chunk = await anext(response.aiter_bytes())
        return harmless(httpx.Response(response.status_code, headers=response.headers, content=chunk))


async def calls(person: Person, call: Call, variables: Mapping[str, Any]) -> httpx.Response:
    if call.operation != "subscription":
        return await asks(person, call.document, variables)
    body = json.dumps({"query": call.document, "variables": variables})
    headers = {**person.headers, "accept": "text/event-stream", "content-type": "application/json"}
    return await first_of(person.http.stream("POST", "/graphql", content=body, headers=headers))


async def test_every_argument_handles_every_value(api: Api, conversation: Conversation):
    """Lone surrogates, NUL, various scripts, long texts and wrong types, in every place of the schema."""
    limit = asyncio.Semaphore(16)

    async def tries(place: Place, value: object) -> None:
        async with limit:
            response = await calls(conversation.ada, place.call, place.variables(value))
            assert response.status_code == 200, (place.path, value)

    places = [*api.places()]
    assert {place.type_name for place in places} >= {"ID", "String", "Int", "Boolean", "CreateMessageInput"}
    assert {place.call.operation for place in places} == {"query", "mutation", "subscription"}
    assert {"messages", "createMessage", "messageCreated"} <= {place.call.field for place in places}
    async with asyncio.TaskGroup() as tasks:
        for place in places:
            texts = TEXTS if place.type_name in {"ID", "String"} else TEXTS[:1]
            for value in (*texts, *OTHERS):
                tasks.create_task(tries(place, value))


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer wrong"}], ids=["no token", "a wrong token"]
)
async def test_unauthenticated_callers_are_told_to_sign_in_for_every_call(
    api: Api, conversation: Conversation, headers: dict[str, str]
):
    http = conversation.ada.http
    asked: set[str] = set()
    for call in api.calls():
        body = json.dumps({"query": call.document, "variables": call.good})
        is_stream = call.operation == "subscription"
        accept = "text/event-stream" if is_stream else "application/json"
        text = (await sends(http, body, {**headers, "accept": accept})).text
        answer = json.loads(text.split("data: ", 1)[1].split("\n")[0] if is_stream else text)
        found = {error["extensions"]["code"] for error in answer.get("errors", ())}
        is_public = call.field == "serverInfo" or (call.field == "viewer" and not headers)
        expected: set[str] = set() if is_public else {"UNAUTHENTICATED"}
        assert (call.field, found) == (call.field, expected)
        assert call.field == "serverInfo" or answer["data"] is None or set(answer["data"].values()) == {None}
        asked.add(call.field)
    assert asked >= {"viewer", "nodes", "messages", "createMessage", "messageCreated"}


async def test_a_stranger_gets_null_on_every_path_to_objects_of_others(
    api: Api, conversation: Conversation, signs_in: SignIn
):
    eve = await signs_in("eve")
    tried: set[str] = set()
    for call in api.calls():
        places = [
            name for name, argument in call.arguments.items() if named(argument["type"])["name"] == "ID"
        ]
        if call.operation != "query" or not places:
            continue
        own = (await asks(conversation.ada, call.document, call.good)).json()["data"]
        assert None not in (own[call.field] if isinstance(own[call.field], list) else [own[call.field]])
        for foreign in (conversation.id, conversation.message):
            for name in places:
                is_list = spelled(call.arguments[name]["type"]).startswith("[")
                variables = {**call.good, name: [foreign] if is_list else foreign}
                response = await asks(eve, call.document, variables)
                nothing = [None] if is_list else None
                assert response.json() == {"data": {call.field: nothing}}
                tried.add(call.field)
    assert tried >= {"node", "nodes", "conversation"}


async def test_a_stranger_cannot_change_objects_of_others_on_any_path(
    api: Api, conversation: Conversation, signs_in: SignIn, database: Database
):
    eve = await signs_in("eve")
    unread = "query ($id: ID!) { conversation(id: $id) { unreadCount } }"
    before = (
        await stored_in(database, conversation),
        await conversation.grace.asks(unread, id=conversation.id),
    )
    tried: set[str] = set()
    for call in api.calls():
        if call.operation != "mutation" or "conversationId" not in json.dumps(call.good):
            continue
        document = call.document.replace("{ __typename }", "{ userErrors { code path } __typename }")
        answer = (await asks(eve, document, call.good)).json()
        [error] = answer["data"][call.field]["userErrors"]
        assert error == {"code": "NOT_FOUND", "path": ["input", "conversationId"]}
        tried.add(call.field)
    assert tried >= {"createMessage", "readMessages"}
    after = await stored_in(database, conversation), await conversation.grace.asks(unread, id=conversation.id)
    assert after == before
