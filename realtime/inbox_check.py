"""Finding the entries whose hints were lost, and the streams whose entries the database has lost."""

import asyncio
from contextlib import suppress

import structlog

from db import inbox_log, inboxes
from db.engine import Connection, Database, DatabaseUnavailable
from realtime.backoff import Backoff
from realtime.subscribers import Subscribers

log = structlog.stdlib.get_logger(__name__)


async def check_inboxes(subscribers: Subscribers, database: Database, every_seconds: float) -> None:
    """Wake subscribers whose inbox has entries that they do not know of, without end.

    This runs one statement for all subscribers in the process, every `every_seconds` and whenever they
    `suspect` lost hints. A lost hint therefore delays its message by at most `every_seconds`. If another
    database server responds than before, a second statement finds the subscribers that have taken entries
    which it does not have, because it is behind or a backup has been restored. These lose their inbox.
    """
    database.server.on_other_server = subscribers.doubt
    backoff = Backoff()
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(every_seconds):
                await subscribers.suspicion.wait()
        is_suspected = subscribers.suspicion.is_set()
        subscribers.suspicion.clear()
        if not subscribers.users() and not subscribers.is_in_doubt:
            continue
        try:
            async with database.connection() as connection:
                await _check(subscribers, database, connection)
        except DatabaseUnavailable as error:
            log.warning("check for lost hints failed", error=str(error))
            if is_suspected:
                subscribers.suspect()
                await backoff.wait()
            continue
        backoff.reset()


async def _check(subscribers: Subscribers, database: Database, connection: Connection) -> None:
    last = await inboxes.last_positions(connection, list(subscribers.users()))
    # Behind a pooler, a connection may have reached another server without being lost.
    database.server.note(last.server_started_at)
    subscribers.compare(last.epoch, last.by_user)
    if subscribers.is_in_doubt:
        await _verify(subscribers, connection)


async def _verify(subscribers: Subscribers, connection: Connection) -> None:
    """Find the subscribers whose place is no longer in their inbox."""
    doubts, places = subscribers.doubts, subscribers.places()
    standings = await inbox_log.standings(connection, [(each.user_id, place) for each, place in places])
    found = ((each, place, standing) for (each, place), standing in zip(places, standings, strict=True))
    lost = subscribers.settle(doubts, found)
    if lost:
        log.warning("entries lost by the database", streams=lost)
