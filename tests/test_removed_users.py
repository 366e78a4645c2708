"""Somebody is removed, by a statement in the database: they are nobody, and others go on."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import delete

from db.embedded import Cluster
from db.engine import Database
from db.tables import users
from schema.node import NodeType
from tests.conftest import sign_in
from tests.hostile.api import learned_from
from tests.hostile.sending import codes
from tests.people import MESSAGE_CREATED, Person
from tests.serving import Server, running_server
from tests.tables import tables

# What cannot be done for somebody who is no more. The rest finds nothing of theirs any more.
NEEDS_AN_ACCOUNT = {"viewer", "inboxCursor", "createConversation", "updateProfile", "messageCreated"}


@pytest.fixture(scope="module")
def believing(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server]:
    """A process that believes a token for a minute."""
    folder = tmp_path_factory.mktemp("believing")
    with running_server(folder, database_url=cluster.url(), session_cache_seconds="60") as running:
        yield running


@pytest.fixture
async def http(believing: Server) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=believing.url, timeout=30) as client:
        yield client


async def remove(database: Database, person: Person) -> None:
    async with tables(database) as connection:
        await connection.execute(delete(users).where(users.c.username == person.username))


async def test_whose_token_is_remembered_is_told_that_they_are_no_more(
    http: httpx.AsyncClient, database: Database
):
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    conversation = await ada.opens_conversation_with(grace)
    message = (await ada.sends("hello", to=conversation))["id"]
    api = await learned_from(
        http,
        {
            "id": conversation,
            "ids": [conversation, message],
            "conversationId": conversation,
            "sessionId": NodeType.SESSION.encode(uuid4()),
            "upToMessageId": message,
            "content": "hello",
            "username": grace.username,
            "search": grace.username,
        },
    )
    await remove(database, ada)
    refused: set[str] = set()
    for call in api.calls():
        if call.operation == "subscription":
            async with ada.streaming(MESSAGE_CREATED) as stream:
                [error] = (await stream.answer())["errors"]
                found = {error["extensions"]["code"]}
        else:
            response = await ada.posts(call.document, **call.good)
            assert response.status_code == 200
            found = codes(response)
        assert found <= {"UNAUTHENTICATED"}, call.field
        if found:
            refused.add(call.field)
    assert refused >= NEEDS_AN_ACCOUNT
    reserved = await http.put("/graphql/stream", headers=ada.headers)
    assert (reserved.status_code, codes(reserved)) == (401, {"UNAUTHENTICATED"})


async def test_their_streams_end_within_seconds_on_every_process(
    http: httpx.AsyncClient, server: Server, database: Database
):
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as elsewhere:
        there = Person(ada.username, ada.token, elsewhere)
        async with ada.listening() as here, there.listening() as at_another, grace.listening() as others:
            await remove(database, ada)
            async with asyncio.timeout(5):
                for stream in (here, at_another):
                    [error] = (await stream.answer())["errors"]
                    assert error["extensions"]["code"] == "UNAUTHENTICATED"
                    assert (await stream.event()).event == "complete"
            barbara = await sign_in(http, "barbara")
            await barbara.sends("still there?", to=await barbara.opens_conversation_with(grace))
            assert await others.contents(1) == ["still there?"]


async def test_whoever_has_written_with_them_goes_on(http: httpx.AsyncClient, database: Database):
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    conversation = await ada.opens_conversation_with(grace)
    await grace.sends("mine", to=conversation)
    await ada.sends("theirs", to=conversation)
    before = await grace.inbox_cursor()
    await remove(database, ada)
    query = """
        query ($id: ID!) {
            conversations { edges { node { id otherParticipant { id } lastMessage { content } } } }
            conversation(id: $id) {
                unreadCount participants { username } otherParticipant { id } lastMessage { content }
                messages { edges { node { content author { username } } } }
            }
        }
    """
    seen = await grace.asks(query, id=conversation)
    [listed] = seen["conversations"]["edges"]
    assert listed["node"] == {"id": conversation, "otherParticipant": None, "lastMessage": None}
    assert seen["conversation"]["participants"] == [{"username": grace.username}]
    assert seen["conversation"]["otherParticipant"] is None
    [left] = seen["conversation"]["messages"]["edges"]
    assert left["node"] == {"content": "mine", "author": {"username": grace.username}}
    async with grace.listening(after=before, include_mine=True) as stream:
        await grace.sends("alone", to=conversation)
        assert await stream.contents(1) == ["alone"]
    assert (await grace.asks(query, id=conversation))["conversation"]["lastMessage"] == {"content": "alone"}
