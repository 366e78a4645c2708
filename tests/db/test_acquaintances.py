"""A changed user's acquaintances are notified, even if they become acquaintances at the same time."""

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

from db import conversations, inboxes, users
from db.engine import Database
from db.records import User
from tests.db.changed_users import blocked, picture, rename, send, told

PersonMaker = Callable[[str], Awaitable[User]]


def name() -> str:
    return f"lovelace-{uuid4().hex[:12]}"


async def opens(database: Database, opener: User, other: User) -> UUID:
    async with database.transaction() as connection:
        assert await users.by_username(connection, other.username, keep=True)
        conversation, _ = await conversations.open_pair(connection, opener.id, other.id)
    return conversation


async def test_a_message_makes_acquaintances_and_opening_a_conversation_only_of_the_opener(
    database: Database, person: PersonMaker
):
    ada, grace = await person("ada"), await person("grace")
    conversation = await opens(database, ada, grace)
    await rename(database, ada, name())
    assert await told(database, grace) == []
    await rename(database, grace, name())
    assert await told(database, ada) == [(1, ada.id, ada.id), (2, grace.id, grace.id)]
    await send(database, ada, conversation)
    await rename(database, ada, name())
    assert await told(database, grace) == [(1, grace.id, grace.id), (3, ada.id, ada.id)]


async def test_conversations_are_known_to_those_who_have_opened_them_or_have_a_message(
    database: Database, person: PersonMaker
):
    ada, grace = await person("ada"), await person("grace")

    async def known_to(viewer: User, other: User) -> UUID | None:
        async with database.connection() as connection:
            return await conversations.known_pair(connection, viewer.id, other.id)

    assert await known_to(ada, grace) is None
    conversation = await opens(database, ada, grace)
    assert (await known_to(ada, grace), await known_to(grace, ada)) == (conversation, None)
    await send(database, ada, conversation)
    assert await known_to(grace, ada) == conversation
    barbara = await person("barbara")
    conversation = await opens(database, ada, barbara)
    assert await opens(database, barbara, ada) == conversation
    assert await known_to(barbara, ada) == conversation


async def test_the_recipient_of_a_first_message_is_notified_of_a_change_that_waits_for_it(
    database: Database, person: PersonMaker
):
    ada, grace = await person("ada"), await person("grace")
    conversation = await opens(database, ada, grace)
    async with database.transaction() as connection:
        assert await inboxes.deliver(connection, conversation, ada.id, "hello")
        renaming = await blocked(database, rename(database, ada, name()))
    _, appended = await renaming
    assert appended is not None
    assert appended.positions == {ada.id: 2, grace.id: 2}
    assert await told(database, grace) == [(2, ada.id, ada.id)]


async def test_a_user_who_opens_a_conversation_during_a_change_is_notified(
    database: Database, person: PersonMaker
):
    ada, grace = await person("ada"), await person("grace")
    async with database.transaction() as connection:
        await connection.execute("SELECT FROM inboxes WHERE user_id = $1 FOR UPDATE", ada.id)
        renaming = await blocked(database, rename(database, ada, name()))
        await opens(database, grace, ada)
    await renaming
    assert await told(database, grace) == [(1, ada.id, ada.id)]


async def test_a_user_does_not_change_while_a_conversation_with_them_is_opened(
    database: Database, person: PersonMaker
):
    """The opener reads the name and picture afterwards, or is notified."""
    ada, grace = await person("ada"), await person("grace")
    async with database.transaction() as connection:
        assert await users.by_username(connection, ada.username, keep=True)
        url = "https://pictures.example/ada.png"
        changing = await blocked(database, picture(database, ada, url))
        await conversations.open_pair(connection, grace.id, ada.id)
    await changing
    assert await told(database, grace) == [(1, ada.id, ada.id)]
