"""Removing a user ends their access, and keeps the history of others whole."""

from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import insert, literal, select

from db.embedded import Cluster
from db.engine import Database
from db.tables import participants, users
from schema.node import NodeType
from tests.conftest import sign_in
from tests.hostile.api import learned_from
from tests.hostile.sending import codes
from tests.support import removals
from tests.support.clients import http_client
from tests.support.people import MESSAGE_CREATED, Person
from tests.support.serving import Server, running_server
from tests.support.tables import tables

# The calls that fail for a removed user. The others just find none of the user's data.
NEEDS_AN_ACCOUNT = {
    *("viewer", "inboxCursor", "messageCreated"),
    *("createConversation", "createMessage", "readMessages", "updateProfile"),
}


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
    await removals.remove(database, person.username)


OWN = """
    query ($id: ID!, $message: ID!) {
        conversations { edges { node { id } } }
        conversation(id: $id) { id }
        nodes(ids: [$id, $message]) { id }
        sessions { id }
    }
"""
CONTENTS = """
    query ($id: ID!) { conversation(id: $id) { messages { edges { node { content } } } } }
"""


async def contents_of(person: Person, conversation: str) -> list[str]:
    found = (await person.asks(CONTENTS, id=conversation))["conversation"]["messages"]["edges"]
    return [edge["node"]["content"] for edge in found]


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
    assert await ada.asks(OWN, id=conversation, message=message) == {
        "conversations": {"edges": []},
        "conversation": None,
        "nodes": [None, None],
        "sessions": [],
    }
    # Nothing has been stored.
    assert await contents_of(grace, conversation) == ["hello"]
    reserved = await http.put("/graphql/stream", headers=ada.headers)
    assert (reserved.status_code, codes(reserved)) == (401, {"UNAUTHENTICATED"})


async def test_a_repeated_key_shows_a_removed_user_nothing(http: httpx.AsyncClient, database: Database):
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    conversation, key = await ada.opens_conversation_with(grace), str(uuid4())
    await ada.sends("my secret", to=conversation, key=key)
    await remove(database, ada)
    repeated = await ada.posts(
        """
        mutation ($input: CreateMessageInput!) {
            createMessage(input: $input) { message { content conversation { id } } }
        }
        """,
        input={"conversationId": conversation, "content": "my secret", "idempotencyKey": key},
    )
    assert codes(repeated) == {"UNAUTHENTICATED"}
    assert "my secret" not in repeated.text


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


READ_MESSAGES = """
    mutation ($input: ReadMessagesInput!) { readMessages(input: $input) { userErrors { message } } }
"""
ABOUT_OTHERS = """
    query ($id: ID!) {
        conversations {
            edges { node { otherParticipant { ...Shown } lastMessage { content author { id } } } }
        }
        conversation(id: $id) {
            participants { ...Shown }
            otherParticipant { ...Shown }
            messages { edges { node { content readByOthers author { ...Shown } } } }
        }
    }
    fragment Shown on User { id username avatarUrl removedAt }
"""


async def test_a_removed_user_is_shown_without_name_and_picture(http: httpx.AsyncClient, database: Database):
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    conversation = await ada.opens_conversation_with(grace)
    await grace.sends("mine", to=conversation)
    await ada.sends("theirs", to=conversation)
    await ada.asks(UPDATE_PROFILE, input={"avatarUrl": "https://pictures.example/ada.png"})
    before = await grace.asks(ABOUT_OTHERS, id=conversation)
    cursor = await grace.inbox_cursor()
    await remove(database, ada)
    seen = await grace.asks(ABOUT_OTHERS, id=conversation)
    shown = seen["conversation"]["otherParticipant"]
    was = before["conversation"]["otherParticipant"]
    assert was["removedAt"] is None
    assert shown["id"] == was["id"]
    assert shown["username"].startswith("-removed-")
    assert shown["avatarUrl"] is None
    assert datetime.now(UTC) - datetime.fromisoformat(shown["removedAt"]) < timedelta(minutes=1)
    [listed] = seen["conversations"]["edges"]
    assert listed["node"]["otherParticipant"] == shown
    assert listed["node"]["lastMessage"] == {"content": "theirs", "author": {"id": shown["id"]}}
    assert shown in seen["conversation"]["participants"]
    mine, theirs = [edge["node"] for edge in seen["conversation"]["messages"]["edges"]]
    assert (theirs["content"], theirs["author"]) == ("theirs", shown)
    assert mine["author"]["username"] == grace.username
    # Others write on, to themselves, and resume from before the removal.
    async with grace.listening(after=cursor, include_mine=True) as stream:
        await grace.sends("alone", to=conversation)
        assert await stream.contents(1) == ["alone"]
    alone = (await grace.asks(ABOUT_OTHERS, id=conversation))["conversation"]["messages"]["edges"][-1]["node"]
    assert (alone["content"], alone["readByOthers"]) == ("alone", False)


async def test_a_removal_alone_marks_no_message_as_read(http: httpx.AsyncClient, database: Database):
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    conversation = await ada.opens_conversation_with(grace)
    read = await grace.sends("read", to=conversation)
    await ada.asks(READ_MESSAGES, input={"conversationId": conversation, "upToMessageId": read["id"]})
    await grace.sends("unread", to=conversation)
    await remove(database, ada)
    edges = (await grace.asks(ABOUT_OTHERS, id=conversation))["conversation"]["messages"]["edges"]
    assert [edge["node"]["readByOthers"] for edge in edges] == [True, False]


async def test_in_a_group_a_removed_user_need_not_have_read_what_another_has(
    http: httpx.AsyncClient, database: Database
):
    ada, grace, barbara = [await sign_in(http, name) for name in ("ada", "grace", "barbara")]
    conversation = await ada.opens_conversation_with(grace)
    async with tables(database) as connection:
        await connection.execute(
            insert(participants).from_select(
                ["conversation_id", "user_id"],
                select(literal(NodeType.CONVERSATION.decode(conversation)), users.c.id).where(
                    users.c.username == barbara.username
                ),
            )
        )
    await grace.sends("hello", to=conversation)
    await barbara.asks(READ_MESSAGES, input={"conversationId": conversation})

    async def is_read() -> bool:
        [edge] = (await grace.asks(ABOUT_OTHERS, id=conversation))["conversation"]["messages"]["edges"]
        return edge["node"]["readByOthers"]

    assert not await is_read()
    await remove(database, ada)
    assert await is_read()


FIND = """
    query ($name: String!) { user(username: $name) { id } searchUsers(search: $name) { id removedAt } }
"""
UPDATE_PROFILE = """
    mutation ($input: UpdateProfileInput!) { updateProfile(input: $input) { userErrors { code } } }
"""


async def test_the_name_of_a_removed_user_is_free_and_finds_only_its_new_owner(
    http: httpx.AsyncClient, database: Database
):
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    conversation = await ada.opens_conversation_with(grace)
    await remove(database, ada)
    assert await grace.asks(FIND, name=ada.username) == {"user": None, "searchUsers": []}
    shown = (await grace.asks(ABOUT_OTHERS, id=conversation))["conversation"]["otherParticipant"]
    assert await grace.asks(FIND, name=shown["username"]) == {"user": None, "searchUsers": []}
    again = await http.post("/auth/dev/login", json={"username": ada.username})
    http.cookies.clear()
    new = Person(ada.username, again.json()["token"], http)
    assert (await new.asks("{ conversations { edges { node { id } } } }"))["conversations"]["edges"] == []
    found = await grace.asks(FIND, name=ada.username)
    assert found["searchUsers"] == [{"id": found["user"]["id"], "removedAt": None}]
    assert found["user"]["id"] != shown["id"]
    assert await new.opens_conversation_with(grace) != conversation
