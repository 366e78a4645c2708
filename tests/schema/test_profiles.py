"""Changing a profile notifies the user's acquaintances, and is limited."""

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest

from db import conversations, inboxes
from db.engine import Database
from db.entries import USER_UPDATED
from db.records import User
from realtime.broadcaster import Broadcaster
from realtime.subscribers import Subscriber
from resolvers.context import Context, Unlimited
from resolvers.conversations import create_conversation
from resolvers.errors import AccountGone, RateLimited, UserError, UserErrorCode
from resolvers.removals import remove_user
from resolvers.users import update_profile

PersonMaker = Callable[[str], Awaitable[User]]


async def renames(context: Context, username: str) -> User:
    return await update_profile(context, username=username, avatar_url=None, keep_avatar=True)


async def hinted(subscriber: Subscriber) -> tuple[int, UUID, int]:
    """Return the kind, subject and position in the next hint, which must be there."""
    assert subscriber.is_woken
    hint = await subscriber.next()
    assert hint is not None
    return hint.entry.kind, hint.entry.subject_id, hint.entry.position


async def test_hints_of_changes_and_removals_reach_everyone_who_shares_a_conversation(
    database: Database, person: PersonMaker
):
    ada, grace, stranger = [await person(name) for name in ("ada", "grace", "joan")]
    async with database.transaction() as connection:
        await conversations.open_pair(connection, ada.id, grace.id)
        await conversations.open_pair(connection, grace.id, ada.id)
    broadcaster = Broadcaster()
    async with (
        broadcaster.subscribe(ada.id) as own,
        broadcaster.subscribe(grace.id) as hers,
        broadcaster.subscribe(stranger.id) as others,
        Context(database, broadcaster, viewer=ada) as context,
    ):
        changed = await renames(context, f"lovelace-{uuid4().hex[:12]}")
        for subscriber in (own, hers):
            assert await hinted(subscriber) == (USER_UPDATED, ada.id, 1)
        # The same again changes nothing.
        assert await renames(context, changed.username) == changed
        assert await remove_user(database, broadcaster, ada.id)
        assert await hinted(hers) == (USER_UPDATED, ada.id, 2)
        assert not (own.is_woken or hers.is_woken or others.is_woken)
        with pytest.raises(AccountGone):
            await renames(context, f"lovelace-{uuid4().hex[:12]}")


async def test_only_those_who_see_the_conversation_are_notified(database: Database, person: PersonMaker):
    """Opening a conversation must not allow a user to write to the inbox of anyone."""
    ada, grace = await person("ada"), await person("grace")
    broadcaster = Broadcaster()
    async with (
        broadcaster.subscribe(ada.id) as hers,
        broadcaster.subscribe(grace.id) as others,
        Context(database, broadcaster, viewer=ada) as of_ada,
        Context(database, broadcaster, viewer=grace) as of_grace,
    ):
        conversation, created = await create_conversation(of_ada, grace.username)
        assert created
        ada = await renames(of_ada, f"lovelace-{uuid4().hex[:12]}")
        assert await hinted(hers) == (USER_UPDATED, ada.id, 1)
        assert not others.is_woken
        # The opener sees the other user's name.
        await renames(of_grace, f"hopper-{uuid4().hex[:12]}")
        assert await hinted(hers) == (USER_UPDATED, grace.id, 2)
        assert await hinted(others) == (USER_UPDATED, grace.id, 1)
        # So does the other one, once they have opened it too.
        assert (await create_conversation(of_grace, ada.username)) == (conversation, True)
        await renames(of_ada, f"byron-{uuid4().hex[:12]}")
        assert await hinted(others) == (USER_UPDATED, ada.id, 2)


class Counting(Unlimited):
    """Counts, and allows one of each."""

    def __init__(self) -> None:
        self.changes = 0
        self.conversations = 0

    async def count_profile_change(self, user_id: UUID) -> None:
        self.changes += 1
        if self.changes > 1:
            raise RateLimited("You have changed your profile once in the last hour.", 60)

    async def count_conversation(self, user_id: UUID) -> None:
        self.conversations += 1
        if self.conversations > 1:
            raise RateLimited("You have opened one new conversation in the last minute.", 60)


async def test_only_changes_of_a_profile_are_counted(database: Database, person: PersonMaker):
    ada, grace = await person("ada"), await person("grace")
    limits = Counting()
    async with Context(database, Broadcaster(), viewer=ada, limits=limits) as context:
        for name, code in (("not a name", "INVALID"), (grace.username.upper(), "TAKEN")):
            with pytest.raises(UserError) as raised:
                await renames(context, name)
            assert raised.value.code is UserErrorCode(code)
        assert await renames(context, ada.username) == ada
        assert limits.changes == 0
        # Another case of one's own name is a change.
        changed = await renames(context, ada.username.upper())
        assert (changed.username, limits.changes) == (ada.username.upper(), 1)
        with pytest.raises(RateLimited):
            await renames(context, f"byron-{uuid4().hex[:12]}")
        assert await renames(context, changed.username) == changed


async def test_a_conversation_is_new_to_a_viewer_who_does_not_know_that_the_other_has_opened_it(
    database: Database, person: PersonMaker
):
    ada, grace, barbara = [await person(name) for name in ("ada", "grace", "barbara")]

    async def opens(viewer: User, other: User) -> bool:
        async with Context(database, Broadcaster(), viewer=viewer) as context:
            _, created = await create_conversation(context, other.username)
        return created

    assert (await opens(ada, grace), await opens(grace, ada)) == (True, True)
    assert (await opens(ada, grace), await opens(grace, ada)) == (False, False)
    # With a message, both know of it.
    async with database.transaction() as connection:
        conversation, _ = await conversations.open_pair(connection, ada.id, barbara.id)
        assert await inboxes.deliver(connection, conversation, ada.id, "hello")
        assert await conversations.open_pair(connection, barbara.id, ada.id) == (conversation, False)
    assert not await opens(barbara, ada)


async def test_only_new_conversations_are_counted(database: Database, person: PersonMaker):
    ada, grace, barbara = [await person(name) for name in ("ada", "grace", "barbara")]
    limits = Counting()
    async with Context(database, Broadcaster(), viewer=ada, limits=limits) as context:
        for name in ("", "nobody-at-all", ada.username):
            with pytest.raises(UserError):
                await create_conversation(context, name)
        assert limits.conversations == 0
        conversation, created = await create_conversation(context, grace.username)
        assert (created, limits.conversations) == (True, 1)
        assert await create_conversation(context, grace.username) == (conversation, False)
        assert limits.conversations == 1
        with pytest.raises(RateLimited):
            await create_conversation(context, barbara.username)
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT FROM participants WHERE user_id = $1", barbara.id)
    assert rows == []
