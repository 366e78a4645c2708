"""Removing users, which the operator does."""

from functools import partial
from uuid import UUID

from db import erasures, removals
from db.engine import Database
from realtime.broadcaster import Broadcaster
from realtime.hints import hints_of
from resolvers.changed_users import notify_missed
from resolvers.transactions import in_transaction


async def remove_user(
    database: Database, broadcaster: Broadcaster, user_id: UUID, *, delete_messages: bool = False
) -> bool:
    """Remove a user, and publish hints to everyone who has a conversation with them.

    Their username is free at once. The conversations stay, and so do their messages unless `delete_messages`.
    Calls with a token that a process has cached are rejected, or find nothing. Return False if there is no
    such user, or no longer.

    Raises:
        DatabaseUnavailable: the database does not respond. If the user has been removed nevertheless,
            `finish` does the rest.
    """
    if delete_messages:
        # Most of them are deleted before, so that an interrupted call can be repeated with the same name.
        await _delete_messages(database, user_id)
    remove = partial(removals.remove, user_id=user_id, delete_messages=delete_messages)
    appended = await in_transaction(database, remove)
    if appended is None:
        return False
    broadcaster.publish(hints_of(appended))
    await notify_missed(database, broadcaster, appended)
    await _finish(database, user_id, delete_messages=delete_messages)
    return True


async def delete_messages(database: Database, user_id: UUID) -> bool:
    """Delete all messages of a user who has been removed. Return False if there is no such removed user.

    Raises:
        DatabaseUnavailable: the database does not respond. `finish` does the rest.
    """
    async with database.connection() as connection:
        if not await removals.delete_messages(connection, user_id):
            return False
    await _finish(database, user_id, delete_messages=True)
    return True


async def finish(database: Database) -> None:
    """Finish the removals that were interrupted: delete messages and entries of removed users in batches."""
    async with database.connection() as connection:
        unfinished = await removals.unfinished(connection)
    for user_id, delete_messages in unfinished:
        await _finish(database, user_id, delete_messages=delete_messages)


async def _finish(database: Database, user_id: UUID, *, delete_messages: bool) -> None:
    if delete_messages:
        # Those that the user has sent in the meantime. There will be no others.
        await _delete_messages(database, user_id)
        async with database.connection() as connection:
            await removals.note_messages_deleted(connection, user_id)
    await _forget_entries(database, user_id)


async def _delete_messages(database: Database, user_id: UUID) -> None:
    """Delete all messages of the user, 100 at a time. Streams deliver it when they next check inboxes."""
    async with database.connection() as connection:
        talks = await erasures.talks(connection, user_id)
    for talk in talks:
        after = 0
        while after < talk.last_seq:
            async with database.connection() as connection:
                found = await erasures.messages_of(connection, talk.id, user_id, after=after)
            if found.ids:
                delete = partial(erasures.delete, talk=talk.id, user_id=user_id, ids=found.ids)
                await in_transaction(database, delete)
            after = found.up_to


async def _forget_entries(database: Database, user_id: UUID) -> None:
    has_more = True
    while has_more:
        async with database.connection() as connection:
            has_more = await removals.forget_entries(connection, user_id)
