"""Messages that are submitted together share a statement, and each has its own outcome."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
from asyncpg import CheckViolationError

from db import conversations, inboxes
from db.engine import SERVER_SETTINGS, Database, DatabaseUnavailable, open_database
from db.inboxes import Delivered, NotStored, Outgoing
from db.records import User
from tests.conftest import Noted, PersonMaker
from tests.support.entries import messages_of, read_messages
from tests.support.serving import eventually_async

Talk = tuple[UUID, User]


@pytest.fixture
def talk(database: Database, person: PersonMaker) -> Callable[[], Awaitable[Talk]]:
    async def make() -> Talk:
        ada, grace = await person("ada"), await person("grace")
        async with database.transaction() as connection:
            conversation, _ = await conversations.open_pair(connection, ada.id, grace.id)
        return conversation, ada

    return make


def saying(content: str, talk: Talk, key: UUID | None = None) -> Outgoing:
    return Outgoing(talk[0], talk[1].id, content, key)


async def inbox_of(database: Database, user: User) -> list[str]:
    async with database.connection() as connection:
        entries = (await read_messages(connection, user.id, after=0, limit=1000)).entries
    assert [entry.position for entry in entries] == list(range(1, len(entries) + 1))
    return [message.content for message in messages_of(entries)]


@asynccontextmanager
async def held(database: Database, talk: Talk) -> AsyncGenerator[None]:
    """Lock the conversation, so that messages to it wait until the block ends."""
    async with database.transaction() as connection:
        await connection.execute("SELECT FROM conversations WHERE id = $1 FOR UPDATE", talk[0])
        yield


async def waits(database: Database) -> int:
    """Wait until a process is blocked by a lock, and return its process ID."""
    query = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' LIMIT 1"
    async with database.connection() as connection:

        async def someone_waits() -> bool:
            return await connection.fetchval(query) is not None

        await eventually_async(someone_waits)
        return await connection.fetchval(query)


async def test_simultaneous_messages_share_a_statement(noted: Noted, talk: Callable[[], Awaitable[Talk]]):
    database, statements = noted
    talks = [await talk() for _ in range(3)]
    statements.clear()
    messages = [saying(str(number), talks[number % 3]) for number in range(60)]
    outcomes = await asyncio.gather(*map(database.deliveries.deliver, messages))
    assert len(statements) <= 2
    for number, outcome in enumerate(outcomes):
        assert isinstance(outcome, Delivered)
        assert outcome.message.content == str(number)
        assert outcome.message.seq == number // 3 + 1
        assert outcome.positions[talks[number % 3][1].id] == number // 3 + 1
    # More than fit into one statement.
    statements.clear()
    await asyncio.gather(*(database.deliveries.deliver(saying("more", talks[0])) for _ in range(200)))
    assert 200 / 64 <= len(statements) <= 5


async def test_an_invalid_message_does_not_affect_the_others(
    database: Database, talk: Callable[[], Awaitable[Talk]], person: PersonMaker
):
    good, eve, key = await talk(), await person("eve"), uuid4()
    outcomes = await asyncio.gather(
        *map(
            database.deliveries.deliver,
            [
                saying("one", good, key),
                saying("x" * 481, good),
                saying("let me in", (good[0], eve)),
                saying("once more", good, key),
                Outgoing(uuid4(), good[1].id, "is anybody there"),
                saying("two", good),
            ],
        ),
        return_exceptions=True,
    )
    assert isinstance(outcomes[1], CheckViolationError)
    # The error is logged without the content of messages.
    assert "xxx" not in f"{outcomes[1]} {outcomes[1].__cause__}"
    assert outcomes[2:5] == [NotStored.NO_CONVERSATION, NotStored.KEY_USED, NotStored.NO_CONVERSATION]
    assert isinstance(outcomes[0], Delivered)
    assert isinstance(outcomes[5], Delivered)
    assert await inbox_of(database, good[1]) == ["one", "two"]


async def test_a_race_for_an_idempotency_key_does_not_affect_the_others(
    database: Database, talk: Callable[[], Awaitable[Talk]]
):
    ours, others, key = await talk(), await talk(), uuid4()
    async with database.transaction() as connection:
        await inboxes.deliver_all(connection, [saying("first", ours, key)])
        both = asyncio.gather(
            database.deliveries.deliver(saying("again", ours, key)),
            database.deliveries.deliver(saying("hello", others)),
        )
        await waits(database)
    again, hello = await both
    assert again is NotStored.KEY_USED
    assert isinstance(hello, Delivered)
    assert await inbox_of(database, ours[1]) == ["first"]
    assert await inbox_of(database, others[1]) == ["hello"]


async def test_a_cancelled_caller_does_not_affect_the_others(
    database: Database, talk: Callable[[], Awaitable[Talk]]
):
    ours = await talk()
    async with held(database, ours):
        first = asyncio.create_task(database.deliveries.deliver(saying("begun", ours)))
        await waits(database)
        gone = asyncio.create_task(database.deliveries.deliver(saying("not begun", ours)))
        stays = asyncio.create_task(database.deliveries.deliver(saying("stays", ours)))
        await asyncio.sleep(0)
        for each in (first, gone):
            each.cancel()
        await asyncio.wait((first, gone))
    assert isinstance(await stays, Delivered)
    # The statement had begun, so its message is stored, although the caller is gone.
    assert await inbox_of(database, ours[1]) == ["begun", "stays"]


async def test_a_locked_conversation_does_not_delay_others(
    database: Database, talk: Callable[[], Awaitable[Talk]], monkeypatch: pytest.MonkeyPatch
):
    # Waiting for the lock takes much longer than anything else here.
    monkeypatch.setattr("db.engine.SERVER_SETTINGS", {**SERVER_SETTINGS, "lock_timeout": "6000"})
    locked, others = await talk(), await talk()
    async with open_database(database.url, pool_size=5) as patient:
        deliver = patient.deliveries.deliver
        async with held(database, locked):
            first = asyncio.create_task(deliver(saying("0", locked)))
            await waits(database)
            sending = [
                asyncio.create_task(deliver(saying(str(number), talk)))
                for number, talk in enumerate([locked, others, locked, others], 1)
            ]
            async with asyncio.timeout(20):
                delivered = await asyncio.gather(sending[1], sending[3])
            assert all(isinstance(each, Delivered) for each in delivered)
            # Later messages do not wait at all.
            later = asyncio.create_task(deliver(saying("5", locked)))
            async with asyncio.timeout(5):
                for number in range(3):
                    assert isinstance(await deliver(saying(str(number), others)), Delivered)
            assert not later.done()
        outcomes = await asyncio.gather(first, sending[0], sending[2], later, return_exceptions=True)
    stored = [each.message.content for each in outcomes if isinstance(each, Delivered)]
    assert "5" in stored
    assert await inbox_of(database, locked[1]) == stored


async def test_a_message_to_a_locked_conversation_becomes_unavailable(
    database: Database, talk: Callable[[], Awaitable[Talk]]
):
    locked = await talk()
    async with held(database, locked), asyncio.timeout(25):
        with pytest.raises(DatabaseUnavailable):
            await database.deliveries.deliver(saying("in vain", locked))
    assert isinstance(await database.deliveries.deliver(saying("again", locked)), Delivered)
    assert await inbox_of(database, locked[1]) == ["again"]


async def test_a_batch_that_loses_a_deadlock_is_retried(
    database: Database, talk: Callable[[], Awaitable[Talk]]
):
    one, other = await talk(), await talk()
    async with database.transaction() as connection:
        # The batch checks for deadlocks sooner than the other process, so it becomes the victim.
        await connection.execute("SET LOCAL deadlock_timeout = '20s'")
        # Like the removal of a user: first an inbox, then what the senders have locked before it.
        await connection.execute("SELECT FROM inboxes WHERE user_id = $1 FOR UPDATE", one[1].id)
        sending = asyncio.gather(
            database.deliveries.deliver(saying("one", one)),
            database.deliveries.deliver(saying("other", other)),
        )
        await waits(database)
        await connection.execute("SELECT FROM conversations WHERE id = $1 FOR UPDATE", one[0])
    async with asyncio.timeout(20):
        assert all(isinstance(each, Delivered) for each in await sending)
    assert await inbox_of(database, one[1]) == ["one"]
    assert await inbox_of(database, other[1]) == ["other"]


async def test_messages_of_a_conversation_are_stored_in_order_of_arrival(
    database: Database, talk: Callable[[], Awaitable[Talk]]
):
    talks = [await talk() for _ in range(8)]
    said = [(str(number), talks[number % 8]) for number in range(400)]
    await asyncio.gather(*(database.deliveries.deliver(saying(*each)) for each in said))
    for ours in talks:
        assert await inbox_of(database, ours[1]) == [content for content, each in said if each == ours]


async def test_a_full_queue_rejects_messages_immediately(
    database: Database, talk: Callable[[], Awaitable[Talk]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("db.deliveries._MOST_WAITING", 2)
    ours = await talk()
    async with open_database(database.url) as crowded:
        async with held(database, ours):
            first = asyncio.create_task(crowded.deliveries.deliver(saying("begun", ours)))
            await waits(database)
            waiting = [
                asyncio.create_task(crowded.deliveries.deliver(saying(str(number), ours)))
                for number in range(3)
            ]
            done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            assert done == {waiting[2]}
            assert isinstance(waiting[2].exception(), DatabaseUnavailable)
        await asyncio.gather(first, *pending)
    assert await inbox_of(database, ours[1]) == ["begun", "0", "1"]


async def test_waiting_for_a_delivery_times_out(
    database: Database, talk: Callable[[], Awaitable[Talk]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("db.deliveries._PATIENCE_SECONDS", 0.05)
    ours = await talk()
    async with held(database, ours):
        sending = [
            asyncio.create_task(database.deliveries.deliver(saying(content, ours)))
            for content in ("begun", "waiting")
        ]
        outcomes = await asyncio.gather(*sending, return_exceptions=True)
        assert [type(each) for each in outcomes] == [DatabaseUnavailable] * 2


async def test_a_lost_connection_fails_all_waiting_messages(
    database: Database, talk: Callable[[], Awaitable[Talk]]
):
    ours = await talk()
    async with held(database, ours):
        sending = asyncio.gather(
            *(database.deliveries.deliver(saying("lost", ours)) for _ in range(2)), return_exceptions=True
        )
        pid = await waits(database)
        async with database.connection() as connection:
            await connection.execute("SELECT pg_terminate_backend($1)", pid)
        errors = await sending
    assert [type(error) for error in errors] == [DatabaseUnavailable] * 2
    assert errors[0] is not errors[1]
    assert await inbox_of(database, ours[1]) == []
    assert isinstance(await database.deliveries.deliver(saying("found", ours)), Delivered)


async def test_a_silent_database_delays_other_messages_only_until_the_time_limit(
    database: Database, talk: Callable[[], Awaitable[Talk]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("db.deliveries._STATEMENT_SECONDS", 0.2)
    monkeypatch.setattr("db.engine._ACQUIRE_SECONDS", 0.2)
    ours, others = await talk(), await talk()
    async with held(database, ours):
        first = asyncio.create_task(database.deliveries.deliver(saying("silence", ours)))
        pid = await waits(database)
        os.kill(pid, signal.SIGSTOP)
        try:
            second = asyncio.create_task(database.deliveries.deliver(saying("hello", others)))
            with pytest.raises(DatabaseUnavailable):
                await first
            assert isinstance(await second, Delivered)
        finally:
            os.kill(pid, signal.SIGCONT)


async def test_submitted_messages_are_stored_before_shutdown(
    database: Database, talk: Callable[[], Awaitable[Talk]]
):
    ours = await talk()
    async with open_database(database.url) as closing, held(database, ours):
        sending = [
            asyncio.create_task(closing.deliveries.deliver(saying(str(number), ours))) for number in range(5)
        ]
        await waits(database)
    assert all(isinstance(outcome, Delivered) for outcome in await asyncio.gather(*sending))
    assert len(await inbox_of(database, ours[1])) == 5
    with pytest.raises(DatabaseUnavailable):
        await closing.deliveries.deliver(saying("too late", ours))
