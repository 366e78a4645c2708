"""Messages that the database loses, and others in their positions."""

import asyncio
from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import select, text

from db.engine import Database
from db.inboxes import deliver
from db.tables import inboxes
from tests.support.tables import tables

Positions = Mapping[UUID, int]
"""How far the inbox of each user reaches."""

_GROWTH = 5
_GROWTH_SECONDS = 20
_LARGEST_TALK = text("""
    SELECT participants.conversation_id, CAST(max(CAST(participants.user_id AS text)) AS uuid) AS author_id
    FROM participants JOIN inboxes ON inboxes.user_id = participants.user_id
    GROUP BY participants.conversation_id ORDER BY count(*) DESC LIMIT 1
""")


async def _positions(database: Database) -> Positions:
    async with tables(database) as connection:
        rows = await connection.execute(select(inboxes.c.user_id, inboxes.c.last_position))
        return {row.user_id: row.last_position for row in rows}


async def grown(database: Database) -> Positions:
    """Wait until each inbox has several more entries, and return how far they reach."""
    before = await _positions(database)
    async with asyncio.timeout(_GROWTH_SECONDS):
        while True:
            now = await _positions(database)
            if all(now[user_id] >= before[user_id] + _GROWTH for user_id in now):
                return now
            await asyncio.sleep(0.05)


async def write_up_to(database: Database, reached: Positions) -> None:
    """Send messages to everyone until each inbox reaches at least as far."""
    async with tables(database) as connection:
        talk = (await connection.execute(_LARGEST_TALK)).one()
    now = await _positions(database)
    for _ in range(max(reached[user_id] - now[user_id] for user_id in reached)):
        async with database.connection() as connection:
            await deliver(connection, talk.conversation_id, talk.author_id, "written after the loss")
