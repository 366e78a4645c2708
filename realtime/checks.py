"""Looking for what hints have failed to tell."""

import asyncio

import structlog

from db import inboxes
from db.engine import Database, DatabaseUnavailable
from realtime.subscribers import Subscribers

log = structlog.stdlib.get_logger(__name__)


async def check_inboxes(subscribers: Subscribers, database: Database, every_seconds: float) -> None:
    """Wake, every so often and without end, those who wait although their inbox goes on.

    One statement for all subscribers of the process. A lost hint is a delay of `every_seconds` at most.
    """
    while True:
        await asyncio.sleep(every_seconds)
        users = list(subscribers.users())
        if not users:
            continue
        try:
            async with database.connection() as connection:
                positions = await inboxes.last_positions(connection, users)
        except DatabaseUnavailable as error:
            log.warning("cannot tell whether hints were lost", error=str(error))
            continue
        subscribers.compare(positions)
