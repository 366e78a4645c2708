"""Deleting what is no longer needed while the server runs: old entries, sessions, rate counts."""

import asyncio
import random
from datetime import timedelta

import structlog

from db import rates
from db.engine import Database, DatabaseUnavailable
from resolvers import removals, retention, sessions

log = structlog.stdlib.get_logger(__name__)

_EVERY_SECONDS = 3600


async def keep_trimming(database: Database, keep: timedelta) -> None:
    """Trim about once an hour until cancelled."""
    while True:
        # Spreads processes that start together, and does not trim on every restart.
        await asyncio.sleep(_EVERY_SECONDS * random.uniform(0.5, 1))
        try:
            dropped = await retention.trim(database, keep)
            over = await sessions.drop_over(database)
            await removals.finish(database)
            async with database.connection() as connection:
                await rates.forget(connection)
        except DatabaseUnavailable as error:
            log.warning("inboxes not trimmed", error=str(error))
        else:
            log.info("inboxes trimmed", entries=dropped, sessions=over)
