"""The version before serves while its database is migrated, and all counts are exact afterwards."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import Connection as TablesConnection
from sqlalchemy import Engine, NullPool, event
from sqlalchemy.ext.asyncio import create_async_engine

from alembic import command
from db.engine import Database
from db.migrations import configuration, migrate
from db.outages import DatabaseUnavailable
from db.patience import alter_patiently
from db.urls import sqlalchemy_url
from tests.db import version_before
from tests.db.talks import Talks
from tests.db.version_before import Sent
from tests.support.counts import miscounted

OLDEST, BEFORE = "0001", "0006"
# A migration yields to others after half a second; the rest is for a slow machine.
LONGEST_SECONDS = 2


async def test_a_database_of_the_first_version_gets_exact_counts(empty_database: Database):
    await migrate(empty_database, OLDEST)
    talks = await Talks.begin(empty_database)
    async with empty_database.connection() as connection:
        for _ in range(150):
            await talks.act(connection, talks.of_before)
        await connection.execute("UPDATE inboxes SET trimmed_to = 3 WHERE user_id = $1", talks.people[0])
        await migrate(empty_database)
        assert await miscounted(connection) == []
        unread = await connection.fetchval("SELECT sum(unread_messages) FROM inboxes")
        assert unread > 0
        trims = await connection.fetch("SELECT user_id, kind, own, trimmed_to FROM inbox_trims")
        assert [tuple(row) for row in trims] == [(talks.people[0], 0, False, 3)]


async def test_senders_go_on_while_a_database_with_many_messages_is_migrated(empty_database: Database):
    await migrate(empty_database, BEFORE)
    talks = await Talks.begin(empty_database)
    async with empty_database.connection() as connection:
        for _ in range(200):
            batch = [talks.one() for _ in range(50)]
            assert len(await version_before.send_all(connection, batch)) == 50
    async with talks.acting(empty_database, [talks.sends, talks.sends_all]) as took:
        await migrate(empty_database)
    assert len(took) > 10
    assert max(took) < LONGEST_SECONDS
    async with empty_database.connection() as connection:
        assert await miscounted(connection) == []


async def test_marks_that_cross_a_migration_are_counted(empty_database: Database):
    await migrate(empty_database, BEFORE)
    talks = await Talks.begin(empty_database)
    async with talks.acting(empty_database, talks.of_before):
        await migrate(empty_database)
    async with empty_database.connection() as connection:
        assert await miscounted(connection) == []


async def test_senders_go_on_while_a_long_transaction_delays_the_migration(empty_database: Database):
    """A backup, for example, has read all tables and holds its locks for long."""
    await migrate(empty_database, BEFORE)
    talks = await Talks.begin(empty_database)
    async with talks.acting(empty_database, [talks.sends, talks.sends_all]) as took:
        async with empty_database.snapshot() as backup:
            await backup.fetch("SELECT FROM participants, inboxes LIMIT 1")
            migrating = asyncio.create_task(migrate(empty_database))
            # Three attempts to change the first of the two tables.
            await asyncio.wait([migrating], timeout=2.5)
            assert not migrating.done()
        await migrating
    assert max(took) < LONGEST_SECONDS
    async with empty_database.connection() as connection:
        assert await miscounted(connection) == []


class _Interrupted(Exception):
    """Stands for the end of the process that migrates."""


@asynccontextmanager
async def _interrupted_after(count: int) -> AsyncGenerator[None]:
    """Interrupt what SQLAlchemy's connections do after so many statements."""
    executed = 0

    def note(*_: object) -> None:
        nonlocal executed
        executed += 1
        if executed == count:
            raise _Interrupted

    event.listen(Engine, "after_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(Engine, "after_cursor_execute", note)


async def test_a_migration_goes_on_wherever_it_was_interrupted(empty_database: Database):
    await migrate(empty_database, BEFORE)
    talks = await Talks.begin(empty_database)
    async with empty_database.connection() as connection:
        for _ in range(30):
            await talks.act(connection, talks.of_before)
    interruptions = 0
    for count in range(1, 200):
        async with _interrupted_after(count):
            try:
                await migrate(empty_database)
            except _Interrupted:
                interruptions += 1
            else:
                break
        async with empty_database.connection() as connection:
            await talks.act(connection, talks.of_before)
    assert interruptions > 20
    async with empty_database.connection() as connection:
        assert await miscounted(connection) == []
    await _without_drift(empty_database)


async def _without_drift(empty_database: Database) -> None:
    config = configuration()

    def check(connection: TablesConnection) -> None:
        config.attributes["connection"] = connection
        command.check(config)

    engine = create_async_engine(sqlalchemy_url(empty_database.url), poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(check)
    await engine.dispose()


async def test_reverting_drops_what_the_version_before_cannot_read(empty_database: Database):
    await migrate(empty_database)
    talks = await Talks.begin(empty_database)
    talk, (ada, grace) = talks.talks[0]
    async with empty_database.connection() as connection:
        for content in ("one", "two", "three"):
            await version_before.send(connection, Sent(talk, ada, content))
        await connection.execute("UPDATE messages SET content = '', deleted_at = now() WHERE seq = 2")
        await connection.execute(
            """
            INSERT INTO inbox_entries (user_id, position, kind, subject_id, actor_id, created_at)
            VALUES ($1, 4, 9, $2, $2, now())
            """,
            grace,
            ada,
        )
    config = configuration()

    def revert(connection: TablesConnection) -> None:
        config.attributes["connection"] = connection
        command.downgrade(config, BEFORE)

    engine = create_async_engine(sqlalchemy_url(empty_database.url), poolclass=NullPool)
    async with engine.connect() as reverting:
        await reverting.run_sync(revert)
    await engine.dispose()
    async with empty_database.connection() as connection:
        entries, _ = await version_before.read(connection, grace, after=0)
        assert entries == [(1, "one"), (3, "three")]
        await version_before.send(connection, Sent(talk, ada, "four"))
    await migrate(empty_database)
    async with empty_database.connection() as connection:
        assert await miscounted(connection) == []


async def test_a_table_that_stays_locked_fails_the_migration_in_the_end(empty_database: Database):
    await migrate(empty_database, BEFORE)
    engine = create_async_engine(
        sqlalchemy_url(empty_database.url), poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    async with empty_database.transaction() as other, engine.connect() as connection:
        await other.execute("LOCK TABLE users")

        def alter(sync: TablesConnection) -> None:
            alter_patiently(sync, "ALTER TABLE users ADD COLUMN removed_at timestamptz(3)", attempts=2)

        with pytest.raises(DatabaseUnavailable, match="another transaction has locked"):
            await connection.run_sync(alter)
    await engine.dispose()
