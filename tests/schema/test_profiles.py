"""Changing a profile tells the user's acquaintances, and counts as sending a message."""

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest

from db import conversations
from db.engine import Database
from db.entries import USER_UPDATED
from db.records import User
from realtime.broadcaster import Broadcaster
from realtime.subscribers import Subscriber
from resolvers.context import Context
from resolvers.errors import AccountGone, RateLimited, UserError
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


async def test_a_valid_change_counts_as_a_sent_message(database: Database, person: PersonMaker):
    ada = await person("ada")
    counted: list[UUID] = []

    async def count_message(user_id: UUID) -> None:
        counted.append(user_id)
        if len(counted) > 1:
            raise RateLimited("You have sent 1 message in the last minute.", 60)

    async with Context(database, Broadcaster(), viewer=ada, count_message=count_message) as context:
        with pytest.raises(UserError):
            await renames(context, "not a name")
        assert counted == []
        changed = await renames(context, f"lovelace-{uuid4().hex[:12]}")
        with pytest.raises(RateLimited):
            await renames(context, f"byron-{uuid4().hex[:12]}")
        assert counted == [ada.id, ada.id]
    async with Context(database, Broadcaster(), viewer=changed) as context:
        assert await renames(context, changed.username) == changed
