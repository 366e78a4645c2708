"""Removing users, which the operator does."""

from itertools import count
from uuid import UUID

from db import removals
from db.engine import Database
from db.entries import Appended
from db.outages import LOCK_ERRORS, DatabaseUnavailable
from realtime.backoff import Backoff
from realtime.broadcaster import Broadcaster
from realtime.hints import hints_of

_ATTEMPTS = 5


async def remove_user(database: Database, broadcaster: Broadcaster, user_id: UUID) -> bool:
    """Remove a user, and publish hints to everyone who has a conversation with them.

    Their username is free at once. Their messages stay, and so do the conversations. Calls with a token that
    a process has cached are rejected, or find nothing. Return False if there is no such user, or no longer.

    Raises:
        DatabaseUnavailable: the database does not respond. If the user has been removed nevertheless,
            `finish` does the rest.
    """
    appended = await _remove(database, user_id)
    if appended is None:
        return False
    broadcaster.publish(hints_of(appended))
    await _forget_entries(database, user_id)
    return True


async def finish(database: Database) -> None:
    """Finish the removals that were interrupted: delete the entries of removed users, in small batches."""
    async with database.connection() as connection:
        unfinished = await removals.unfinished(connection)
    for user_id in unfinished:
        await _forget_entries(database, user_id)


async def _remove(database: Database, user_id: UUID) -> Appended | None:
    """Remove the user; again if it did not get its locks."""
    backoff = Backoff()
    for attempt in count(1):
        try:
            async with database.transaction() as connection:
                return await removals.remove(connection, user_id)
        except DatabaseUnavailable as error:
            if attempt == _ATTEMPTS or not isinstance(error.__cause__, LOCK_ERRORS):
                raise
        await backoff.wait()
    raise AssertionError("count never ends")


async def _forget_entries(database: Database, user_id: UUID) -> None:
    has_more = True
    while has_more:
        async with database.connection() as connection:
            has_more = await removals.forget_entries(connection, user_id)
