"""Trimming of inboxes. Messages themselves are kept indefinitely."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from db import inboxes, retention
from db.engine import Database

_FIRST = UUID(int=0)


async def trim(database: Database, keep: timedelta) -> int:
    """Delete inbox entries older than `keep`, in small transactions; return their number.

    Cursors before the deleted entries expire (`CursorExpired`). Only one process trims at a time: the call
    does nothing while another process is trimming.
    """
    before = datetime.now(UTC) - keep
    dropped = 0
    after = _FIRST
    while True:
        async with database.transaction() as connection:
            batch = await retention.trim_batch(connection, before=before, after=after)
        if batch is None or batch.last_inbox is None:
            return dropped
        dropped += batch.entries
        if not batch.has_more:
            after = batch.last_inbox


async def renew_epoch(database: Database) -> None:
    """Expire all cursors. Required after the database has been restored from a backup."""
    async with database.connection() as connection:
        await inboxes.renew_epoch(connection)
