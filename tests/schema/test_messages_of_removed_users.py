"""The messages of removed users stay, and are paged and counted past those that earlier versions deleted."""

from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import delete, insert, literal, select

from db.engine import Database
from db.tables import conversations, messages, participants, users
from schema.node import NodeType
from tests.conftest import sign_in
from tests.support.people import Person
from tests.support.removals import remove
from tests.support.tables import tables


async def delete_as_earlier_versions_did(database: Database, person: Person) -> None:
    """Delete a user together with their messages, which leaves gaps in the numbers of messages."""
    user_id = select(users.c.id).where(users.c.username == person.username).scalar_subquery()
    async with tables(database) as connection:
        await connection.execute(delete(messages).where(messages.c.author_id == user_id))
        await connection.execute(delete(participants).where(participants.c.user_id == user_id))
        await connection.execute(delete(users).where(users.c.username == person.username))


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


async def test_history_stays_whole_and_is_paged_in_both_directions(
    http: httpx.AsyncClient, database: Database
):
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    conversation = await ada.opens_conversation_with(grace)
    await grace.sends("first", to=conversation)
    for number in range(2, 61):
        await ada.sends(str(number), to=conversation)
    await remove(database, ada.username)
    contents, info = await page_of(grace, conversation, last=50)
    assert contents == [str(number) for number in range(11, 61)]
    assert (info["hasPreviousPage"], info["hasNextPage"]) == (True, False)
    contents, info = await page_of(grace, conversation, last=50, before=info["startCursor"])
    assert contents == ["first", *(str(number) for number in range(2, 11))]
    assert (info["hasPreviousPage"], info["hasNextPage"]) == (False, True)
    contents, info = await page_of(grace, conversation, first=50)
    assert contents == ["first", *(str(number) for number in range(2, 51))]
    contents, info = await page_of(grace, conversation, first=50, after=info["endCursor"])
    assert contents == [str(number) for number in range(51, 61)]
    assert (info["hasPreviousPage"], info["hasNextPage"]) == (True, False)


async def test_history_is_paged_past_gaps_of_earlier_versions_in_both_directions(
    http: httpx.AsyncClient, database: Database
):
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    conversation = await ada.opens_conversation_with(grace)
    await ada.sends("theirs", to=conversation)
    for number in range(1, 4):
        await grace.sends(f"mine {number}", to=conversation)
    for _ in range(30):
        await ada.sends("theirs", to=conversation)
    await delete_as_earlier_versions_did(database, ada)
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


async def test_unread_messages_of_a_removed_user_can_be_read(http: httpx.AsyncClient, database: Database):
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    conversation = await ada.opens_conversation_with(grace)
    for _ in range(2):
        await ada.sends("not read yet", to=conversation)
    last = (await ada.sends("not read yet", to=conversation))["id"]
    await remove(database, ada.username)
    assert await unread(grace, conversation) == 3
    await grace.asks(READ_MESSAGES, input={"conversationId": conversation, "upToMessageId": last})
    assert await unread(grace, conversation) == 0


async def test_messages_that_earlier_versions_deleted_are_not_counted_as_unread(
    http: httpx.AsyncClient, database: Database
):
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    conversation = await ada.opens_conversation_with(grace)
    for _ in range(3):
        await ada.sends("never read", to=conversation)
    assert await unread(grace, conversation) == 3
    await delete_as_earlier_versions_did(database, ada)
    assert await unread(grace, conversation) == 0


async def test_in_a_group_other_messages_than_those_stay_unread(http: httpx.AsyncClient, database: Database):
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
    await delete_as_earlier_versions_did(database, ada)
    assert await unread(grace, conversation) == 2
    await grace.asks(READ_MESSAGES, input={"conversationId": conversation, "upToMessageId": last})
    assert await unread(grace, conversation) == 0
