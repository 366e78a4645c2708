"""Finding the entries whose hints were lost."""

import asyncio
from contextlib import suppress

import structlog

from db import inboxes
from db.engine import Database, DatabaseUnavailable
from realtime.backoff import Backoff
from realtime.subscribers import Subscribers

log = structlog.stdlib.get_logger(__name__)


async def check_inboxes(subscribers: Subscribers, database: Database, every_seconds: float) -> None:
    """Wake subscribers whose inbox has entries that they do not know of, without end.

    This runs one statement for all subscribers in the process, every `every_seconds` and whenever they
    `suspect` lost hints. A lost hint therefore delays its message by at most `every_seconds`.
    """
    backoff = Backoff()
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(every_seconds):
                await subscribers.suspicion.wait()
        is_suspected = subscribers.suspicion.is_set()
        subscribers.suspicion.clear()
        users = list(subscribers.users())
        if not users:
            continue
        try:
            async with database.connection() as connection:
                positions = await inboxes.last_positions(connection, users)
        except DatabaseUnavailable as error:
            log.warning("check for lost hints failed", error=str(error))
            if is_suspected:
                subscribers.suspect()
                await backoff.wait()
            continue
        backoff.reset()
        subscribers.compare(positions)
