"""A user is removed by a database statement: their access ends, and other users are not affected."""

from collections.abc import AsyncGenerator, Generator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import delete, insert, literal, select

from db.embedded import Cluster
from db.engine import Database
from db.tables import conversations, participants, users
from schema.node import NodeType
from tests.conftest import sign_in
from tests.hostile.api import learned_from
from tests.hostile.sending import codes
from tests.support.clients import http_client
from tests.support.people import MESSAGE_CREATED, Person
from tests.support.serving import Server, running_server
from tests.support.tables import tables

# The calls that fail for a removed user. The others just find none of the user's data.
NEEDS_AN_ACCOUNT = {"viewer", "inboxCursor", "createConversation", "updateProfile", "messageCreated"}


@pytest.fixture(scope="module")
def caching_server(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server]:
    """A process that caches a verified token for a minute."""
    folder = tmp_path_factory.mktemp("caching_server")
    with running_server(folder, database_url=cluster.url(), session_cache_seconds="60") as running:
        yield running


@pytest.fixture
async def http(caching_server: Server) -> AsyncGenerator[httpx.AsyncClient]:
    async with http_client(caching_server.url) as client:
        yield client


async def remove(database: Database, person: Person) -> None:
    async with tables(database) as connection:
        await connection.execute(delete(users).where(users.c.username == person.username))


async def test_a_removed_user_is_unauthenticated_although_their_token_is_cached(
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
            "messageId": message,
            "content": "hello",
            "username": grace.username,
            "search": grace.username,
            "after": await ada.inbox_cursor(),
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


async def test_streams_of_a_removed_user_end_within_seconds_on_every_process(
    http: httpx.AsyncClient, server: Server, database: Database
):
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    async with http_client(server.url) as elsewhere:
        there = Person(ada.username, ada.token, elsewhere)
        async with ada.listening() as here, there.listening() as at_another, grace.listening() as others:
            await remove(database, ada)
            for stream in (here, at_another):
                [error] = (await stream.answer())["errors"]
                assert error["extensions"]["code"] == "UNAUTHENTICATED"
                assert (await stream.event()).event == "complete"
            barbara = await sign_in(http, "barbara")
            await barbara.sends("still there?", to=await barbara.opens_conversation_with(grace))
            assert await others.contents(1) == ["still there?"]


MESSAGES = """
    query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
        conversation(id: $id) {
            messages(first: $first, after: $after, last: $last, before: $before) {
                edges { node { content } }
                pageInfo { hasPreviousPage hasNextPage startCursor endCursor }
            }
        }
    }
"""


async def page_of(person: Person, conversation: str, **page: Any) -> tuple[list[str], dict[str, Any]]:
    answer = await person.asks(MESSAGES, id=conversation, **page)
    messages = answer["conversation"]["messages"]
    return [edge["node"]["content"] for edge in messages["edges"]], messages["pageInfo"]


async def test_history_is_paged_past_deleted_messages_in_both_directions(
    http: httpx.AsyncClient, database: Database
):
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    conversation = await ada.opens_conversation_with(grace)
    await ada.sends("theirs", to=conversation)
    for number in range(1, 4):
        await grace.sends(f"mine {number}", to=conversation)
    for _ in range(30):
        await ada.sends("theirs", to=conversation)
    await remove(database, ada)
    contents, info = await page_of(grace, conversation, last=2)
    assert contents == ["mine 2", "mine 3"]
    assert (info["hasPreviousPage"], info["hasNextPage"]) == (True, False)
    contents, info = await page_of(grace, conversation, last=2, before=info["startCursor"])
    assert contents == ["mine 1"]
    assert (info["hasPreviousPage"], info["hasNextPage"]) == (False, True)
    contents, info = await page_of(grace, conversation, first=2)
    assert contents == ["mine 1", "mine 2"]
    assert (info["hasPreviousPage"], info["hasNextPage"]) == (False, True)
    contents, info = await page_of(grace, conversation, first=2, after=info["endCursor"])
    assert contents == ["mine 3"]
    assert (info["hasPreviousPage"], info["hasNextPage"]) == (True, False)
    contents, info = await page_of(grace, conversation, first=2, after=info["endCursor"])
    assert (contents, info["hasPreviousPage"], info["hasNextPage"]) == ([], True, False)


READ_MESSAGES = """
    mutation ($input: ReadMessagesInput!) { readMessages(input: $input) { userErrors { message } } }
"""
UNREAD = """
    query ($id: ID!) {
        conversations { edges { node { unreadCount hasUnreadMessages } } }
        conversation(id: $id) { unreadCount hasUnreadMessages }
    }
"""


async def unread(person: Person, conversation: str) -> int:
    answer = await person.asks(UNREAD, id=conversation)
    [edge] = answer["conversations"]["edges"]
    assert edge["node"] == answer["conversation"]
    count = answer["conversation"]["unreadCount"]
    assert answer["conversation"]["hasUnreadMessages"] is (count > 0)
    return count


async def test_deleted_messages_are_not_counted_as_unread(http: httpx.AsyncClient, database: Database):
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    conversation = await ada.opens_conversation_with(grace)
    for _ in range(3):
        await ada.sends("never read", to=conversation)
    assert await unread(grace, conversation) == 3
    await remove(database, ada)
    assert await unread(grace, conversation) == 0


async def test_in_a_group_messages_of_the_others_stay_unread(http: httpx.AsyncClient, database: Database):
    people = ada, grace, barbara = [await sign_in(http, name) for name in ("ada", "grace", "barbara")]
    group = uuid4()
    async with tables(database) as connection:
        await connection.execute(insert(conversations).values(id=group))
        joining = select(literal(group), users.c.id).where(
            users.c.username.in_([person.username for person in people])
        )
        await connection.execute(insert(participants).from_select(["conversation_id", "user_id"], joining))
    conversation = NodeType.CONVERSATION.encode(group)
    await ada.sends("hello", to=conversation)
    await barbara.sends("hello", to=conversation)
    await ada.sends("hello", to=conversation)
    last = (await barbara.sends("hello", to=conversation))["id"]
    await ada.sends("hello", to=conversation)
    assert await unread(grace, conversation) == 5
    await remove(database, ada)
    assert await unread(grace, conversation) == 2
    await grace.asks(READ_MESSAGES, input={"conversationId": conversation, "upToMessageId": last})
    assert await unread(grace, conversation) == 0


async def test_other_participants_keep_the_conversation(http: httpx.AsyncClient, database: Database):
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
