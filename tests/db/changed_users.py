"""What tests do with users and their profiles in the database."""

import asyncio
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

from db import inboxes, removals, users
from db.engine import Database
from db.entries import USER_UPDATED, Appended
from db.ids import new_id
from db.records import User
from db.statements import Connection


async def talk(database: Database, *people: User) -> UUID:
    """Return a new conversation of these users."""
    conversation = new_id()
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO conversations (id) VALUES ($1)", conversation)
        await connection.execute(
            "INSERT INTO participants (conversation_id, user_id) SELECT $1, unnest($2::uuid[])",
            conversation,
            [user.id for user in people],
        )
    return conversation


async def send(database: Database, author: User, conversation: UUID, content: str = "hello") -> None:
    async with database.connection() as connection:
        assert await inboxes.deliver(connection, conversation, author.id, content)


async def remove(database: Database, user: User) -> Appended:
    async with database.transaction() as connection:
        appended = await removals.remove(connection, user.id)
    assert appended is not None
    return appended


async def rename(database: Database, user: User, username: str | None) -> tuple[User, Appended | None]:
    async with database.transaction() as connection:
        return await users.set_profile(
            connection, user.id, username=username, avatar_url=None, keep_avatar=True
        )


async def picture(database: Database, user: User, url: str | None) -> tuple[User, Appended | None]:
    async with database.transaction() as connection:
        return await users.set_profile(connection, user.id, username=None, avatar_url=url, keep_avatar=False)


async def told(database: Database, reader: User) -> list[tuple[int, UUID, UUID]]:
    """Return the entries about users in an inbox: position, subject and actor."""
    async with database.connection() as connection:
        rows = await connection.fetch(
            """
            SELECT position, subject_id, actor_id FROM inbox_entries
            WHERE user_id = $1 AND kind = $2 AND conversation_id IS NULL AND created_at IS NOT NULL
            ORDER BY position
            """,
            reader.id,
            USER_UPDATED,
        )
    return [tuple(row) for row in rows]


async def stored(database: Database, user: User) -> User:
    async with database.connection() as connection:
        [found] = await users.by_ids(connection, [user.id])
    return found


async def blocked(database: Database, work: Coroutine[Any, Any, Any], *, among: int = 1) -> asyncio.Task[Any]:
    """Begin the work, and return its task once it is `among` so many that wait for a lock."""
    task = asyncio.create_task(work)
    async with asyncio.timeout(10), database.connection() as connection:
        while await waiting(connection) < among:
            assert not task.done(), task
            await asyncio.sleep(0.01)
    return task


async def waiting(connection: Connection) -> int:
    """Return how many connections to the database wait for a lock."""
    return await connection.fetchval("""
        SELECT count(*) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database()
    """)
