"""A changed user's acquaintances are notified, even if they become acquaintances at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from uuid import UUID, uuid4

import pytest

from db import conversations, inboxes, users
from db.engine import Database
from db.entries import USER_UPDATED
from db.records import User
from realtime.broadcaster import Broadcaster
from resolvers.context import Context
from resolvers.removals import remove_user
from resolvers.users import update_profile
from tests.db.changed_users import blocked, rename, send, told, waiting
from tests.support.serving import eventually_async

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


async def renames(database: Database, user: User) -> None:
    async with Context(database, Broadcaster(), viewer=user) as context:
        await update_profile(context, username=name(), avatar_url=None, keep_avatar=True)


async def changes_picture(database: Database, user: User) -> None:
    url = f"https://pictures.example/{uuid4()}.png"
    async with Context(database, Broadcaster(), viewer=user) as context:
        await update_profile(context, username=None, avatar_url=url, keep_avatar=False)


async def removes(database: Database, user: User) -> None:
    assert await remove_user(database, Broadcaster(), user.id)


CHANGES = pytest.mark.parametrize("change", [renames, changes_picture, removes])
Change = Callable[[Database, User], Coroutine[Any, Any, None]]


class Holder:
    """Holds the lock on a user's inbox from when it gets it until it is released."""

    def __init__(self, database: Database, user: User) -> None:
        self._database, self._user = database, user
        self.is_holding = asyncio.Event()
        self.release = asyncio.Event()

    async def hold(self) -> None:
        async with self._database.transaction() as connection:
            await connection.execute("SELECT FROM inboxes WHERE user_id = $1 FOR UPDATE", self._user.id)
            self.is_holding.set()
            await self.release.wait()


@CHANGES
async def test_users_who_open_a_conversation_while_a_change_waits_are_notified(
    database: Database, person: PersonMaker, change: Change
):
    """The change waits for its first lock again each time that it is repeated."""
    ada, openers = await person("ada"), [await person(f"opener{number}") for number in range(8)]
    opened: list[User] = []
    holder = Holder(database, ada)
    holding = [asyncio.create_task(holder.hold())]
    await holder.is_holding.wait()
    changing = await blocked(database, change(database, ada))
    async with asyncio.timeout(20), database.connection() as connection:

        async def goes_on() -> bool:
            return changing.done() or await waiting(connection) > 0

        while not changing.done():
            opener = openers.pop()
            await opens(database, opener, ada)
            opened.append(opener)
            # The next one gets the lock as soon as the change releases it.
            following = Holder(database, ada)
            holding.append(await blocked(database, following.hold(), among=2))
            holder.release.set()
            holder = following
            await holder.is_holding.wait()
            await eventually_async(goes_on)
        holder.release.set()
        await asyncio.gather(changing, *holding)
    for opener in opened:
        assert await told(database, opener) == [(1, ada.id, ada.id)]


@CHANGES
async def test_a_conversation_is_opened_without_waiting_while_a_change_notifies_acquaintances(
    database: Database, person: PersonMaker, change: Change
):
    ada, grace, barbara = [await person(each) for each in ("ada", "grace", "barbara")]
    conversation = await opens(database, ada, grace)
    await send(database, grace, conversation)
    async with database.transaction() as connection:
        # The change has locked the inboxes when it comes to store the entry that is already there.
        await connection.execute(
            "INSERT INTO inbox_entries (user_id, position, kind) VALUES ($1, 2, $2)", grace.id, USER_UPDATED
        )
        changing = await blocked(database, change(database, ada))
        await opens(database, barbara, ada)
        await connection.execute("DELETE FROM inbox_entries WHERE user_id = $1 AND position = 2", grace.id)
    await changing
    assert await told(database, grace) == [(2, ada.id, ada.id)]
    assert await told(database, barbara) == [(1, ada.id, ada.id)]


async def test_the_picture_of_a_user_may_change_but_not_the_name_while_a_conversation_is_opened(
    database: Database, person: PersonMaker
):
    """Otherwise, the name could be another user's when the conversation has been opened."""
    ada, grace = await person("ada"), await person("grace")
    async with database.transaction() as connection:
        assert await users.by_username(connection, ada.username, keep=True)
        await changes_picture(database, ada)
        renaming = await blocked(database, renames(database, ada))
        await conversations.open_pair(connection, grace.id, ada.id)
    await renaming
    # The picture had been changed before they were acquaintances.
    assert await told(database, grace) == [(1, ada.id, ada.id)]


async def test_a_first_message_during_a_change_makes_an_acquaintance_who_is_notified(
    database: Database, person: PersonMaker
):
    ada, grace = await person("ada"), await person("grace")
    conversation = await opens(database, ada, grace)
    async with database.transaction() as connection:
        assert await inboxes.deliver(connection, conversation, ada.id, "hello")
        changing = await blocked(database, changes_picture(database, ada))
    await changing
    assert await told(database, grace) == [(2, ada.id, ada.id)]
