"""How long an inbox keeps its entries. Messages themselves are kept for good."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from db import inboxes, retention
from db.engine import Database

_FIRST = UUID(int=0)


async def trim(database: Database, keep: timedelta) -> int:
    """Drop inbox entries older than that, in small transactions; return how many.

    A reader behind them is told so (`CursorExpired`). Only one process trims at a time: while another does,
    nothing happens here.
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
    """Make all cursors expire: to be done after the database was restored from a backup."""
    async with database.connection() as connection:
        await inboxes.renew_epoch(connection)
