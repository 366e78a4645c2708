"""Removing a user together with their messages, of which few are deleted at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from uuid import UUID

import pytest
from asyncpg import DivisionByZeroError

from db import erasures, inboxes, removals
from db.engine import Database
from db.entries import MESSAGE_DELETED
from db.inboxes import Delivered, NotStored, Outgoing
from db.records import User
from realtime.broadcaster import Broadcaster
from resolvers.removals import finish, remove_user
from tests.db.changed_users import blocked, send, stored, talk
from tests.support.counts import miscounted
from tests.support.serving import eventually_async

PersonMaker = Callable[[str], Awaitable[User]]


async def fill(database: Database, conversation: UUID, author: User, count: int) -> None:
    async with database.connection() as connection:
        for _ in range(count // 100):
            await inboxes.deliver_all(connection, [Outgoing(conversation, author.id, "hello")] * 100)


async def left(database: Database, author: User) -> int:
    """Return how many messages of a user still have their text."""
    async with database.connection() as connection:
        return await connection.fetchval(
            "SELECT count(*) FROM messages WHERE author_id = $1 AND content <> ''", author.id
        )


async def erase(database: Database, user: User) -> bool:
    return await remove_user(database, Broadcaster(), user.id, delete_messages=True)


async def test_all_messages_of_a_removed_user_are_deleted_and_those_of_others_are_not(
    database: Database, person: PersonMaker
):
    ada, grace, barbara = [await person(name) for name in ("ada", "grace", "barbara")]
    pair, group = await talk(database, ada, grace), await talk(database, ada, grace, barbara)
    await talk(database, ada, barbara)
    await fill(database, pair, grace, 100)
    await fill(database, pair, ada, 200)
    for author in (ada, grace, barbara, ada):
        await send(database, author, group)
    assert await erase(database, ada)
    assert (await stored(database, ada)).removed_at is not None
    assert [await left(database, each) for each in (ada, grace, barbara)] == [0, 101, 1]
    async with database.connection() as connection:
        told = await connection.fetchval(
            "SELECT count(*) FROM inbox_entries WHERE user_id = $1 AND kind = $2 AND actor_id = $3",
            grace.id,
            MESSAGE_DELETED,
            ada.id,
        )
        assert told == 202
        assert await miscounted(connection, [grace.id, barbara.id]) == []
        assert ada.id not in dict(await removals.unfinished(connection))
    assert await erase(database, ada) is False


async def test_messages_that_are_sent_during_the_removal_are_deleted_too(
    database: Database, person: PersonMaker
):
    # The removal locks inboxes in the order of user IDs, so it waits for Grace before it locks Ada's.
    grace, ada, barbara = [await person(name) for name in ("grace", "ada", "barbara")]
    await talk(database, ada, grace)
    conversation = await talk(database, ada, barbara)
    await fill(database, conversation, ada, 100)
    async with database.transaction() as connection:
        await connection.execute("SELECT FROM inboxes WHERE user_id = $1 FOR UPDATE", grace.id)
        erasing = await blocked(database, erase(database, ada))
        await send(database, ada, conversation)
        assert await left(database, ada) == 1
    assert await erasing
    assert await left(database, ada) == 0
    async with database.connection() as connection:
        assert await miscounted(connection, [grace.id, barbara.id]) == []


@pytest.mark.parametrize("count", [1, 2])
async def test_a_message_that_waits_while_its_author_is_removed_is_not_stored(
    database: Database, person: PersonMaker, count: int
):
    ada, grace = await person("ada"), await person("grace")
    conversation = await talk(database, ada, grace)
    batch = [Outgoing(conversation, ada.id, "too late")] * count

    async def send_batch() -> Sequence[Delivered | NotStored]:
        async with database.connection() as connection:
            return await inboxes.deliver_all(connection, batch)

    async with database.transaction() as connection:
        await connection.execute("SELECT FROM inboxes WHERE user_id = $1 FOR UPDATE", ada.id)
        erasing = await blocked(database, erase(database, ada))
        sending = await blocked(database, send_batch(), among=2)
    assert await erasing
    if count == 1:
        assert await sending == [NotStored.NO_CONVERSATION]
    else:
        # Each is then sent alone.
        with pytest.raises(DivisionByZeroError):
            await sending
    assert await left(database, ada) == 0
    async with database.connection() as connection:
        assert (
            await connection.fetchval("SELECT last_seq FROM conversations WHERE id = $1", conversation) == 0
        )
        assert await miscounted(connection, [grace.id]) == []


async def test_an_interrupted_deletion_is_repeated_with_the_same_name(
    database: Database, person: PersonMaker
):
    ada, grace = await person("ada"), await person("grace")
    conversation = await talk(database, ada, grace)
    await fill(database, conversation, ada, 2000)
    erasing = asyncio.create_task(erase(database, ada))

    async def has_begun() -> bool:
        return await left(database, ada) < 2000

    await eventually_async(has_begun)
    erasing.cancel()
    with suppress(asyncio.CancelledError):
        await erasing
    assert 0 < await left(database, ada) < 2000
    assert await stored(database, ada) == ada
    assert await erase(database, ada)
    assert await left(database, ada) == 0
    async with database.connection() as connection:
        assert await miscounted(connection, [grace.id]) == []


async def test_a_server_deletes_what_a_command_left_that_was_interrupted_after_the_removal(
    database: Database, person: PersonMaker
):
    ada, grace, barbara = [await person(name) for name in ("ada", "grace", "barbara")]
    conversation = await talk(database, ada, grace, barbara)
    for author in (ada, barbara):
        await fill(database, conversation, author, 200)
    async with database.transaction() as connection:
        assert await removals.remove(connection, ada.id, delete_messages=True)
        assert await removals.remove(connection, barbara.id)
    await finish(database)
    assert [await left(database, each) for each in (ada, barbara)] == [0, 200]
    async with database.connection() as connection:
        assert await miscounted(connection, [grace.id]) == []
        assert ada.id not in dict(await removals.unfinished(connection))


async def test_deleting_many_messages_delays_no_sender_for_long(database: Database, person: PersonMaker):
    ada, grace = await person("ada"), await person("grace")
    conversation = await talk(database, ada, grace)
    await fill(database, conversation, ada, 3000)
    took: list[float] = []
    is_over = asyncio.Event()

    async def send_on() -> None:
        while not is_over.is_set():
            begun = time.monotonic()
            await database.deliveries.deliver(Outgoing(conversation, grace.id, "hello"))
            took.append(time.monotonic() - begun)

    async with asyncio.TaskGroup() as senders:
        for _ in range(3):
            senders.create_task(send_on())
        try:
            assert await erase(database, ada)
        finally:
            is_over.set()
    assert await left(database, ada) == 0
    assert len(took) > 10
    assert max(took) < 1
    async with database.connection() as connection:
        assert await miscounted(connection, [grace.id]) == []


async def test_a_long_conversation_is_looked_through_in_stretches(database: Database, person: PersonMaker):
    ada, grace = await person("ada"), await person("grace")
    conversation = await talk(database, ada, grace)
    async with database.connection() as connection:
        await connection.execute(
            """
            INSERT INTO messages (id, conversation_id, seq, author_id, content)
            SELECT gen_random_uuid(), $1, seq,
                   CASE WHEN seq % 10000 = 5000 THEN $2::uuid ELSE $3::uuid END, 'hello'
            FROM generate_series(1, 25000) AS seq
            """,
            conversation,
            ada.id,
            grace.id,
        )
        await connection.execute("UPDATE conversations SET last_seq = 25000 WHERE id = $1", conversation)
        ends: list[int] = []
        found: list[UUID] = []
        while not ends or ends[-1] < 25000:
            stretch = await erasures.messages_of(
                connection, conversation, ada.id, after=ends[-1] if ends else 0
            )
            found += stretch.ids
            ends.append(stretch.up_to)
    assert (ends, len(found)) == ([10_000, 20_000, 30_000], 3)
